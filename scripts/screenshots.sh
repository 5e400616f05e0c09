#!/bin/sh
# make screenshots: retakes the pictures in docs/images, from runs on SOURCE or on sample images.
set -u
. "$(dirname "$0")/common.sh"

check_source
sh scripts/setup.sh dev || exit 1
use_environment
exec python -m vision_assets_tests.browser.screenshots docs/images \
    ${VISION_ASSETS_SOURCE:+--source "$VISION_ASSETS_SOURCE"}
