#!/bin/sh
# make test: runs pytest with the given arguments, without the user's own source and history.
# Two processes, because each waits for Spark's small jobs half of the time; each further one would start another JVM.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE VISION_ASSETS_EXTRACTORS DAGSTER_HOME
# The files keep the order of conftest.py: those that take longest come first.
# shellcheck disable=SC2086  # several arguments
exec python -m pytest -n 2 --dist loadfile --no-loadscope-reorder ${PYTEST_ARGS:-}
