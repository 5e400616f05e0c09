#!/bin/sh
# make test-whole, make test-storage: the tests with one marker, which make test leaves out. One process: what they
# start takes the cores and the memory.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE DAGSTER_HOME
# shellcheck disable=SC2086  # several arguments
exec python -m pytest -m "$1" ${PYTEST_ARGS:-}
