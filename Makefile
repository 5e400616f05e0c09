# make run and make test are all you need; make help lists the rest. The scripts do the work.

# The value as typed, even with a $ in it.
export SOURCE_AS_GIVEN := $(value SOURCE)
export SET_AS_GIVEN := $(value SET)

# A variable that no target reads would be ignored: KK=200, k=200.
VARIABLES := SOURCE CONFIG EXTRACTOR RECIPE K POOLING SPLIT SET COLLECTION LOG PORT PYTEST_ARGS N ROUNDS ROWS \
	CONNECTORS STORAGES CLUSTER_PORT KILLS PYTHON UPGRADE SYSTEM_PACKAGES \
	VISION_ASSETS_% DAGSTER_% SPARK_% HADOOP_% YARN_% AWS_% JAVA_HOME CI SHELL HOME PATH TMPDIR
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unknown := $(filter-out $(VARIABLES),$(given))
$(if $(unknown),$(error There is no variable $(unknown). `make help` lists them))

.PHONY: help run env test test-whole test-storage jars cluster cluster-stop torture bench lint ui sample screenshots lock clean
.NOTPARALLEL:

help: ## List the targets and their variables.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  SOURCE=path      your own images: a folder, an archive or a URI"
	@echo "  CONFIG=file      run configuration (default: run_configs/default.yaml; for the sample: run_configs/sample.yaml)"
	@echo "  EXTRACTOR=kaze   for make run: sift (default), surf, kaze or daisy"
	@echo "  RECIPE=bovw      for make run: the pipeline, named as its job: bovw (default), surf, kaze or daisy"
	@echo "  K=200            for make run: number of visual words"
	@echo "  POOLING=count    for make run: sum (default), max or count"
	@echo "  SPLIT=folder     for make run: random (default), folder or labels"
	@echo "  SET='...'        for make run: any settings, such as SET='kmeans_dictionary.seed=1 image_classifier.splits=5'"
	@echo "  COLLECTION=name  for make run: a project file in the folder collections"
	@echo "  LOG=warning      for make run: lines from this level on: debug, info (default) or warning"
	@echo "  PORT=3000        for make ui: port to listen on"
	@echo "  PYTEST_ARGS=...  for make test, such as PYTEST_ARGS='-k sift -x'"
	@echo "  N=500            for make bench: number of images, evenly spaced (default: all)"
	@echo "  ROUNDS=3         for make bench: number of rounds"
	@echo "  ROWS=sift,whole  for make bench: only these rows of the table"
	@echo "  CONNECTORS=s3a   for make jars: only these"
	@echo "  STORAGES=hdfs    for make test-storage: only on these of hdfs, swift, s3proxy and alluxio"
	@echo "  CLUSTER_PORT=7077 for make cluster: port of the master"
	@echo "  KILLS=120        for make torture: number of runs to kill"
	@echo "  PYTHON=path      Python for .venv (default: the newest from 3.11 on)"
	@echo "  UPGRADE=1        for make lock: take the newest versions"
	@echo "  SYSTEM_PACKAGES=no    name missing system packages (Java, libraries), but never install them"
	@echo "  VISION_ASSETS_DATA    in the environment: folder or URI of the tables (default: data)"

run: ## Set up, run the job on SOURCE or on sample images, and print a summary.
	@sh scripts/run.sh

env: ## Set up, and print the environment for commands without make, for the shell to eval.
	@sh scripts/env.sh

test: ## Set up and run the tests; names those that it skips.
	@sh scripts/test.sh

test-whole: ## Set up and run the browser, benchmark and failure-injection tests.
	@sh scripts/test-apart.sh whole

test-storage: ## Set up and run the tests on real servers: HDFS, Swift, S3, Alluxio, Spark clusters, PostgreSQL.
	@sh scripts/test-apart.sh storage

jars: ## Fetch the Java libraries for S3 (s3a://) and Alluxio in advance; otherwise the first run does.
	@sh scripts/jars.sh

cluster: ## Start a Spark master and two workers on this machine, to try out a cluster.
	@sh scripts/cluster.sh

cluster-stop: ## Stop them.
	@sh scripts/cluster.sh stop

torture: ## Set up and torture: mutated images, malicious archives, killed runs, large loads. Takes hours.
	@sh scripts/torture.sh

bench: ## Set up and measure against the alternatives, on SOURCE or on sample images.
	@sh scripts/bench.sh

lint: ## Check style, format and types.
	@sh scripts/lint.sh

ui: ## Set up and start Dagster's UI on this machine; Ctrl-C stops it.
	@exec sh scripts/ui.sh

sample: ## Create the sample images.
	@sh scripts/sample.sh

screenshots: ## Retake the pictures in docs/images, with a browser.
	@sh scripts/screenshots.sh

lock: ## Rewrite the lock files from pyproject.toml.
	@sh scripts/lock.sh

clean: ## Remove everything that was set up. Images, tables and run history stay.
	@rm -rf .venv *.egg-info build .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.tmp_dagster_home_* spark-warehouse metastore_db derby.log
	@find vision_assets vision_assets_tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
