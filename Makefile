# make run and make test are all it takes; make help lists the rest. The scripts do the work.

# As typed, even with a $ in it.
export SOURCE_AS_GIVEN := $(value SOURCE)

.PHONY: help run test test-whole test-storage jars cluster cluster-stop torture bench lint ui sample screenshots lock clean
.NOTPARALLEL:

help: ## Print this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  SOURCE=path      images of your own: a folder, a tar file or a URI"
	@echo "  CONFIG=file      another run config than run_configs/default.yaml (the sample's: run_configs/sample.yaml)"
	@echo "  EXTRACTOR=kaze   for make run: sift (the default), surf, kaze or daisy"
	@echo "  PORT=3000        where make ui listens"
	@echo "  PYTEST_ARGS=...  for make test, as in PYTEST_ARGS='-k sift -x'"
	@echo "  N=500            for make bench: so many of the images, evenly spaced; else all"
	@echo "  ROUNDS=3         for make bench: how often everything is measured"
	@echo "  ROWS=sift,whole  for make bench: these rows of the table alone"
	@echo "  CONNECTORS=s3a   for make jars: these alone"
	@echo "  CLUSTER_PORT=7077 for make cluster: where the master listens"
	@echo "  KILLS=120        for make torture: how many runs are killed"
	@echo "  PYTHON=path      the Python that .venv is made with; else the newest from 3.11 on"
	@echo "  UPGRADE=1        for make lock: the newest versions"
	@echo "  SYSTEM_PACKAGES=no    name Java or a library that is missing, but never install it"
	@echo "  VISION_ASSETS_DATA    in the environment: where the tables go; else the folder data"

run: ## Set up, run the whole job on SOURCE or on sample images, and print the summary.
	@sh scripts/run.sh

test: ## Set up and run the tests.
	@sh scripts/test.sh

test-whole: ## Set up and run the tests in a browser, of the benchmarks, and of whole runs that fare badly.
	@sh scripts/test-apart.sh whole

test-storage: ## Set up and run the tests on real servers: HDFS, Swift, S3, Alluxio, Spark's cluster, PostgreSQL.
	@sh scripts/test-apart.sh storage

jars: ## Fetch the Java libraries for S3 (s3a://) and Alluxio, which else the first run does.
	@sh scripts/jars.sh

cluster: ## Start Spark's master and two workers on this machine, to try a cluster out.
	@sh scripts/cluster.sh

cluster-stop: ## End them.
	@sh scripts/cluster.sh stop

torture: ## Set up and torture: mutated images, archives that are traps, killed runs, large loads. Hours, not minutes.
	@sh scripts/torture.sh

bench: ## Set up and measure, on SOURCE or on sample images, beside what one would run instead.
	@sh scripts/bench.sh

lint: ## Check style, format and types.
	@sh scripts/lint.sh

ui: ## Set up and start Dagster's page on this machine, until Ctrl-C.
	@exec sh scripts/ui.sh

sample: ## Make the sample images.
	@sh scripts/sample.sh

screenshots: ## Take the pictures of docs/images anew, in a browser.
	@sh scripts/screenshots.sh

lock: ## Write the lock files anew from setup.cfg and pyproject.toml.
	@sh scripts/lock.sh

clean: ## Remove what was set up, but no images, tables or history of runs.
	@rm -rf .venv *.egg-info build .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.tmp_dagster_home_* spark-warehouse metastore_db derby.log
	@find vision_assets vision_assets_tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
