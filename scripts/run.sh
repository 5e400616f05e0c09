#!/bin/sh
# make run: sets up, runs the job and prints a summary. make sets SOURCE, CONFIG, EXTRACTOR, RECIPE, K, POOLING, SPLIT,
# SET and COLLECTION.
set -u
. "$(dirname "$0")/common.sh"

check_source
collection=${COLLECTION:-}
config=${CONFIG:-}
if [ -z "$config" ] && [ -z "$collection" ] && ! [ -e "$(project_file)" ]; then
    config=run_configs/default.yaml
    [ -n "${VISION_ASSETS_SOURCE:-}" ] || config=run_configs/sample.yaml
fi
[ -z "$collection" ] || [ -z "${VISION_ASSETS_SOURCE:-}" ] ||
    die "COLLECTION=$collection has its own source, in its project file: leave SOURCE and VISION_ASSETS_SOURCE out."
recipe=${RECIPE:-}
[ "$recipe" != bovw ] || recipe=sift
extractor=${EXTRACTOR:-${recipe:-sift}}
[ -z "$recipe" ] || [ "$recipe" = "$extractor" ] || die "RECIPE=$RECIPE and EXTRACTOR=$EXTRACTOR differ: give one of them."
case ${LOG:-info} in
    debug | info | warning) ;;
    *) die "LOG=$LOG is no level: choose debug, info or warning." ;;
esac
job=bovw_pipeline
[ "$extractor" = sift ] || job=${extractor}_pipeline
[ -z "$config" ] || [ -r "$config" ] || die "CONFIG: $config does not exist. Available: $(echo run_configs/*.yaml)."

sh scripts/setup.sh run || exit 1
use_environment
if [ "$extractor" = surf ] && ! python -c 'import mahotas' 2>/dev/null; then
    say "Installing mahotas for SURF ..."
    python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-surf.lock || exit 1
fi
use_dagster_home
[ -n "$collection" ] || [ -e "$(project_file)" ] || use_source
# Dagster loads the pipelines of these extractors alone.
export VISION_ASSETS_EXTRACTORS="$extractor"
[ -z "${LOG:-}" ] || export VISION_ASSETS_LOG="$LOG"

log=$(mktemp) || exit 1
named=$(mktemp) || exit 1
trap 'rm -f "$log" "$named"' EXIT
set -- --extractor "$extractor" --collection "$collection"
[ -z "${K:-}" ] || set -- "$@" --set "kmeans_dictionary.k=$K"
[ -z "${POOLING:-}" ] || set -- "$@" --set "bow_encodings.pooling=$POOLING"
[ -z "${SPLIT:-}" ] || set -- "$@" --set "image_classifier.split=$SPLIT"
set -f # [ and * in a value are no patterns for files
for each in ${SET_AS_GIVEN:-}; do
    set -- "$@" --set "$each"
done
set +f
vision-assets config "$@" ${config:+"$config"} >"$named" || exit 1
python -m vision_assets.cli.watch "$log" \
    dagster job execute -m vision_assets.definitions ${collection:+-a "$collection"} -j "$job" -c "$named"
status=$?
if [ $status -eq 130 ]; then
    say "The run was stopped. What is finished is kept; the same command continues from it."
    exit 130
elif [ $status -ne 0 ]; then
    # Where no line of a run was logged, nothing has run.
    ! grep -q '^[0-9][0-9]:[0-9][0-9]:[0-9][0-9] ' "$log" || say "'make ui' shows the history of the run."
    exit 1
fi
vision-assets summary --extractor "$extractor" --collection "$collection"
