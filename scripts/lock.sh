#!/bin/sh
# make lock: writes the lock files anew from setup.cfg and pyproject.toml, for every platform and Python from 3.11 on.
# Versions stay as they are where they can; UPGRADE=1 takes the newest.
set -eu
. "$(dirname "$0")/common.sh"

python=$(sh scripts/setup.sh python)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

say "Resolving ..."
"$python" -m venv "$work/uv"
"$work/uv/bin/python" -m pip install -q --disable-pip-version-check --no-input 'uv>=0.13'

# What builds the project is locked with what it uses.
"$python" -c '
import pathlib, tomllib
print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["build-system"]["requires"], sep="\n")
' >"$work/build.in"

# compile OUTPUT ARGUMENT...: writes what the files among the arguments take.
compile() {
    output=$1
    shift
    UV_SYSTEM_CERTS=1 "$work/uv/bin/uv" pip compile -q --universal --generate-hashes --no-strip-extras --fork-strategy fewest --no-emit-index-url \
        --no-emit-find-links --no-header --no-annotate --python-version 3.11 --python "$python" \
        -o "$output" "$@"
}

# What is locked now is what it goes by, unless it is asked to upgrade.
if [ -z "${UPGRADE:-}" ] && [ -e requirements-dev.lock ]; then
    cp requirements-dev.lock "$work/dev.lock"
fi
compile "$work/dev.lock" --extra dev --extra postgres --extra surf setup.cfg "$work/build.in"
# The same versions, without the tools.
sed -n 's/^\([A-Za-z0-9._-]*\)\(\[[^]]*\]\)\{0,1\}\(==.*\) \\$/\1\3/p' "$work/dev.lock" >"$work/versions"
compile "$work/run.lock" -c "$work/versions" setup.cfg "$work/build.in"
# What the code in Spark's workers imports, besides PySpark, which is where Spark is.
printf '%s\n' numpy opencv-contrib-python pandas pillow pyarrow scipy >"$work/workers.in"
compile "$work/workers.lock" -c "$work/versions" "$work/workers.in"
cat "$work/dev.lock" >requirements-dev.lock
cat "$work/run.lock" >requirements.lock
{
    echo "# Spark's workers, on a cluster: pip install --require-hashes -r deploy/workers.lock"
    cat "$work/workers.lock"
} >deploy/workers.lock
# What SURF takes besides.
{
    echo "# SURF, beside requirements.lock or deploy/workers.lock:"
    echo "# pip install --require-hashes --no-deps -r requirements-surf.lock"
    awk '/^[^ ]/ { wanted = /^mahotas==/ } wanted' "$work/dev.lock"
} >requirements-surf.lock
# What Dagster's services take besides.
{
    echo "# Dagster's storage in PostgreSQL, beside requirements.lock:"
    echo "# pip install --require-hashes --no-deps -r deploy/requirements.lock"
    awk '/^[^ ]/ { wanted = /^(dagster-postgres|psycopg2-binary)==/ } wanted' "$work/dev.lock"
} >deploy/requirements.lock
say "requirements.lock, requirements-dev.lock, requirements-surf.lock and two in deploy are written."
