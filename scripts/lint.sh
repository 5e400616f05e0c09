#!/bin/sh
# make lint: runs every check, even after one has failed.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh lint || exit 1
status=0
for check in "ruff check ." "ruff format --check ." "mypy"; do
    # shellcheck disable=SC2086  # a command and its arguments
    say "$check" && "$venv/bin/python" -m $check || status=1
done
exit "$status"
