#!/bin/sh
# make test-whole, make test-storage: the tests with one marker, which make test leaves out. What those of whole runs
# start takes the cores and the memory, so in one process; those on servers mostly wait for one to start or to answer,
# so in more processes than there may be cores.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE DAGSTER_HOME
side_by_side=
[ "$1" != storage ] || side_by_side='-n 3 --dist loadfile'
# shellcheck disable=SC2086  # several arguments
exec python -m pytest -m "$1" $side_by_side ${PYTEST_ARGS:-}
