#!/bin/sh
# make bench: the project beside what a user would run instead. SOURCE, N, ROUNDS and ROWS come from make.
set -u
. "$(dirname "$0")/common.sh"

# count NAME VALUE: ends unless it is a number from 1 on, or none is given.
count() {
    case $2 in
        *[!0-9]* | 0*) die "$1=$2 is no number: give one from 1 on." ;;
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
