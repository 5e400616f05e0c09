#!/bin/sh
# make ui: starts Dagster's UI on this machine only. make sets PORT and SOURCE.
set -u
. "$(dirname "$0")/common.sh"

check_source
port=${PORT:-3000}
case $port in
    *[!0-9]* | ??????*) die "PORT=$port is not a port: give a number between 1 and 65535." ;;
esac
sh scripts/setup.sh run || exit 1
use_environment

python -I - "$port" <<'END' || exit 1
import errno
import socket
import sys

port = int(sys.argv[1])
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OverflowError:
        sys.exit(f"Error: PORT={port} is not a port: give a number between 1 and 65535.")
    except OSError as error:
        why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
        sys.exit(f"Error: Port {port} {why}: choose another, such as 'make ui PORT={port % 65000 + 1}'.")
END

use_dagster_home
# With a project file or collections, what they name is the source.
[ -e "$(project_file)" ] || has_collections || use_source
vision-assets workspace >"$DAGSTER_HOME/workspace.yaml" || exit 1
say "Dagster's UI will be at http://127.0.0.1:$port/asset-groups in some seconds; Ctrl-C stops it."
# Start from its home: Dagster warns about a dagster.yaml in the current folder, although it is the same one.
cd "$DAGSTER_HOME" || exit 1
# Started in the background, a shell makes it ignore SIGINT, and it could not be stopped cleanly.
exec python -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
' dagster dev -w "$DAGSTER_HOME/workspace.yaml" -h 127.0.0.1 -p "$port" --log-level warning
