#!/bin/sh
# make torture: tests that take too long for make test. make sets KILLS.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh dev || exit 1
use_environment
unset VISION_ASSETS_SOURCE VISION_ASSETS_EXTRACTORS DAGSTER_HOME
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
status=0
# torture NAME COMMAND...: runs it and remembers a failure.
torture() {
    say "--- $1"
    shift
    "$@" || status=1
}
torture "Mutated images" python -m vision_assets_tests.torture.images --mutations 10000
torture "Malicious archives" python -m pytest vision_assets_tests/torture -m torture -q
torture "Killed runs on S3Proxy and Alluxio" python -m pytest vision_assets_tests/systems -m "storage and torture" -q
torture "Killed runs" python -m vision_assets_tests.torture.kills --kills "${KILLS:-120}" --folder "$work/kills"
torture "Two runs at once" python -m vision_assets_tests.torture.two_at_once --rounds 20
torture "Interrupted runs" python -m pytest vision_assets_tests/cli -m torture -q
torture "Many images, large images" python -m vision_assets_tests.torture.load
exit "$status"
