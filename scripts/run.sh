#!/bin/sh
# make run: everything from a bare folder to the summary. SOURCE and CONFIG come from make.
set -u
. "$(dirname "$0")/common.sh"

check_source
config=${CONFIG:-}
if [ -z "$config" ]; then
    config=run_configs/default.yaml
    [ -n "${VISION_ASSETS_SOURCE:-}" ] || config=run_configs/sample.yaml
fi
[ -r "$config" ] || die "CONFIG names no run config: $config does not exist; there are $(echo run_configs/*.yaml)."

sh scripts/setup.sh run || exit 1
use_environment
use_dagster_home
use_source

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
{
    dagster job execute -m vision_assets.definitions -j bovw_pipeline -c "$config" </dev/null 2>&1
    echo "exit $?" >>"$log"
} | tee -a "$log"
if ! grep -qx "exit 0" "$log"; then
    # Dagster says why in the middle of its report.
    why=$(awk '/^dagster\._core\.definitions\.events\.Failure: / { sub(/^[^:]*: /, ""); inside = 1 }
        inside && /^$/ { exit } inside' "$log")
    die "The run failed${why:+: $why} ('make ui' shows its history.)"
fi
vision-assets summary
