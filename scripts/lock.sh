#!/bin/sh
# make lock: rewrites the lock files from pyproject.toml, for every platform and Python from 3.11 on.
# Versions stay as they are where possible; UPGRADE=1 takes the newest.
set -eu
. "$(dirname "$0")/common.sh"

python=$(sh scripts/setup.sh python)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

say "Resolving ..."
"$python" -m venv "$work/uv"
"$work/uv/bin/python" -m pip install -q --disable-pip-version-check --no-input 'uv>=0.13'

# Build requirements are locked together with the dependencies.
"$python" -c '
import pathlib, tomllib
print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["build-system"]["requires"], sep="\n")
' >"$work/build.in"

# compile OUTPUT ARGUMENT...: writes a lock of the requirement files among the arguments.
compile() {
    output=$1
    shift
    UV_SYSTEM_CERTS=1 "$work/uv/bin/uv" pip compile -q --universal --generate-hashes --no-strip-extras --fork-strategy fewest --no-emit-index-url \
        --no-emit-find-links --no-header --no-annotate --python-version 3.11 --python "$python" \
        -o "$output" "$@"
}

# Start from the locked versions, unless asked to upgrade.
if [ -z "${UPGRADE:-}" ] && [ -e requirements-dev.lock ]; then
    cp requirements-dev.lock "$work/dev.lock"
fi
compile "$work/dev.lock" --extra dev --extra postgres --extra surf pyproject.toml "$work/build.in"
# The same versions, without the tools.
sed -n 's/^\([A-Za-z0-9._-]*\)\(\[[^]]*\]\)\{0,1\}\(==.*\) \\$/\1\3/p' "$work/dev.lock" >"$work/versions"
compile "$work/run.lock" -c "$work/versions" pyproject.toml "$work/build.in"
# What the code in Spark's workers imports. PySpark comes with Spark.
printf '%s\n' "backports.zstd; python_version < '3.14'" imagecodecs inflate64 netpbmfile numpy opencv-contrib-python pandas pillow pyarrow scipy tifffile >"$work/workers.in"
compile "$work/workers.lock" -c "$work/versions" "$work/workers.in"
cat "$work/dev.lock" >requirements-dev.lock
cat "$work/run.lock" >requirements.lock
{
    echo "# Spark's workers on a cluster: pip install --require-hashes -r deploy/workers.lock"
    cat "$work/workers.lock"
} >deploy/workers.lock
# What SURF needs in addition.
{
    echo "# SURF, in addition to requirements.lock or deploy/workers.lock:"
    echo "# pip install --require-hashes --no-deps -r requirements-surf.lock"
    awk '/^[^ ]/ { wanted = /^mahotas==/ } wanted' "$work/dev.lock"
} >requirements-surf.lock
# What Dagster's services need in addition.
{
    echo "# Dagster's storage in PostgreSQL, in addition to requirements.lock:"
    echo "# pip install --require-hashes --no-deps -r deploy/requirements.lock"
    awk '/^[^ ]/ { wanted = /^(dagster-postgres|psycopg2-binary)==/ } wanted' "$work/dev.lock"
} >deploy/requirements.lock
say "Wrote requirements.lock, requirements-dev.lock, requirements-surf.lock, deploy/requirements.lock and deploy/workers.lock."
