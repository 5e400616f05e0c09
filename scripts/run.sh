#!/bin/sh
# make run: sets up, runs the job and prints a summary. make sets SOURCE, CONFIG and EXTRACTOR.
set -u
. "$(dirname "$0")/common.sh"

check_source
config=${CONFIG:-}
if [ -z "$config" ]; then
    config=run_configs/default.yaml
    [ -n "${VISION_ASSETS_SOURCE:-}" ] || config=run_configs/sample.yaml
fi
extractor=${EXTRACTOR:-sift}
job=bovw_pipeline
[ "$extractor" = sift ] || job=${extractor}_pipeline
[ -r "$config" ] || die "CONFIG: $config does not exist. Available: $(echo run_configs/*.yaml)."

sh scripts/setup.sh run || exit 1
use_environment
if [ "$extractor" = surf ] && ! python -c 'import mahotas' 2>/dev/null; then
    say "Installing mahotas for SURF ..."
    python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-surf.lock || exit 1
fi
use_dagster_home
use_source
[ -z "${LOG:-}" ] || export VISION_ASSETS_LOG="$LOG"

log=$(mktemp) || exit 1
named=$(mktemp) || exit 1
trap 'rm -f "$log" "$named"' EXIT
vision-assets config --extractor "$extractor" "$config" >"$named" || exit 1
python -m vision_assets.cli.watch "$log" dagster job execute -m vision_assets.definitions -j "$job" -c "$named"
status=$?
if [ $status -eq 130 ]; then
    say "The run was stopped. What is finished is kept; the same command continues from it."
    exit 130
elif [ $status -ne 0 ]; then
    say "'make ui' shows the history of the run."
    exit 1
fi
vision-assets summary --extractor "$extractor"
