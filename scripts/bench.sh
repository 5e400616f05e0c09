#!/bin/sh
# make bench: measures the project against what a user would run instead. make sets SOURCE, N, ROUNDS and ROWS.
set -u
. "$(dirname "$0")/common.sh"

# count NAME VALUE: ends with an error unless VALUE is empty or a number from 1 on.
count() {
    case $2 in
        *[!0-9]* | 0*) die "$1=$2 is not a number: give 1 or more." ;;
    esac
}

check_source
count N "${N:-}"
count ROUNDS "${ROUNDS:-}"
sh scripts/setup.sh dev || exit 1
use_environment
use_source
exec python -m benchmarks --source "$VISION_ASSETS_SOURCE" \
    ${N:+--images "$N"} ${ROUNDS:+--rounds "$ROUNDS"} ${ROWS:+--rows "$ROWS"}
