#!/bin/sh
# make test: pytest with the arguments given. Nothing of the user's own source or history takes part.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE DAGSTER_HOME
# shellcheck disable=SC2086  # several arguments
exec python -m pytest ${PYTEST_ARGS:-}
