#!/bin/sh
# make env: sets up, and prints the environment of make run and make ui for a shell: eval "$(make env)".
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh run >&2 || exit 1
use_environment
use_dagster_home
echo "unset SPARK_HOME PYTHONHOME"
for name in PATH JAVA_HOME PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYTHONWARNINGS VISION_ASSETS_DATA \
    DAGSTER_HOME DAGSTER_DISABLE_TELEMETRY; do
    eval "value=\$$name"
    printf "export %s='%s'\n" "$name" "$(printf '%s' "$value" | sed "s/'/'\\\\''/g")"
done
