#!/bin/sh
# make test-whole, make test-storage: the tests with one marker, which make test skips. Tests of complete runs need the
# cores and the memory, so they run in one process. Tests on servers mostly wait for a server to start or to answer, so
# they run in three.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE DAGSTER_HOME
side_by_side=
[ "$1" != storage ] || side_by_side='-n 3 --dist loadfile'
# shellcheck disable=SC2086  # several arguments
exec python -m pytest -m "$1" $side_by_side ${PYTEST_ARGS:-}
