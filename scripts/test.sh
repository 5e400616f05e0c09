#!/bin/sh
# make test: pytest with the arguments given. Nothing of the user's own source or history takes part.
# Two processes, as each waits for Spark's small jobs half of the time; more would each have a JVM of their own.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE DAGSTER_HOME
# shellcheck disable=SC2086  # several arguments
exec python -m pytest -n 2 --dist loadfile ${PYTEST_ARGS:-}
