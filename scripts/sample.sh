#!/bin/sh
# make sample: images to try everything with.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh run || exit 1
use_environment
make_sample
