#!/bin/sh
# make test-whole, make test-storage: the tests with one marker, which make test skips. Complete runs keep a core busy
# for half of the time, so two processes run them. Tests on servers mostly wait for a server to start or to answer, so
# three do.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE VISION_ASSETS_EXTRACTORS DAGSTER_HOME
processes=2
[ "$1" != storage ] || processes=3
# shellcheck disable=SC2086  # several arguments
exec python -m pytest -m "$1" -n $processes --dist loadfile --no-loadscope-reorder ${PYTEST_ARGS:-}
