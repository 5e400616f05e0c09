#!/bin/sh
# make sample: creates the sample images.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh run || exit 1
use_environment
make_sample
