#!/bin/sh
# make cluster, make cluster-stop: a Spark master and two workers of one core each on this machine, to try out a
# cluster. make sets CLUSTER_PORT.
set -u
. "$(dirname "$0")/common.sh"

folder=$root/.cluster
port=${CLUSTER_PORT:-7077}

# command_of PID: prints the command line of a process. A bare Debian has no ps, macOS no /proc.
command_of() {
    if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -ww -o command= -p "$1" 2>/dev/null; fi
}

stop() {
    [ -d "$folder" ] || return 0
    for file in "$folder"/*.pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file")
        # Another process may have got this number since.
        if command_of "$pid" | grep -q 'org.apache.spark.deploy'; then
            kill "$pid"
            tries=0
            while kill -0 "$pid" 2>/dev/null; do
                tries=$((tries + 1))
                [ "$tries" -ne 100 ] || kill -9 "$pid"
                sleep 0.1
            done
        fi
        rm -f "$file"
    done
}

# daemon NAME CLASS ARGUMENT...: starts one of Spark's daemons in the background.
daemon() {
    name=$1
    shift
    mkdir -p "$folder/$name"
    # Its own folder and environment: the daemon inherits nothing that the job is started with.
    (
        cd "$folder/$name" || exit 1
        exec env -i HOME="$folder/$name" PATH=/usr/local/bin:/usr/bin:/bin JAVA_HOME="$JAVA_HOME" \
            SPARK_HOME="$spark" SPARK_LOCAL_IP=127.0.0.1 SPARK_DAEMON_MEMORY=512m \
            "$spark/bin/spark-class" "$@" >"$folder/$name.log" 2>&1
    ) &
    echo $! >"$folder/$name.pid"
}

# until_logged NAME TEXT: waits until a daemon logs this text.
until_logged() {
    tries=0
    until grep -q "$2" "$folder/$1.log" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ] || ! kill -0 "$(cat "$folder/$1.pid")" 2>/dev/null; then
            grep -m 5 'Exception\|ERROR' "$folder/$1.log" >&2
            stop
            die "Spark's $1 did not start; its log is $folder/$1.log."
        fi
        sleep 0.1
    done
}

if [ "${1:-}" = stop ]; then
    stop
    exit 0
fi

# use_workers: creates the workers' Python, with what they need and without this project.
use_workers() {
    workers=$venv/workers
    cmp -s deploy/workers.lock "$workers/installed" && return 0
    say "Installing the workers' Python libraries ..."
    rm -rf "$workers"
    python -m venv "$workers" &&
        "$workers/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r deploy/workers.lock &&
        cp deploy/workers.lock "$workers/installed"
}

sh scripts/setup.sh run || exit 1
use_environment
use_workers || die "Installing the workers' Python libraries failed."
stop
rm -rf "$folder"
mkdir -p "$folder"
echo "spark.pyspark.python $workers/bin/python" >"$folder/spark-defaults.conf"
spark=$(python -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
daemon master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "$port" --webui-port 0
until_logged master "I have been elected leader"
# If the port is taken, Spark takes the next one.
if ! grep -q "Starting Spark master at spark://127.0.0.1:$port\$" "$folder/master.log"; then
    stop
    die "Port $port is taken; choose another with CLUSTER_PORT=..."
fi
for number in 1 2; do
    daemon "worker-$number" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 \
        --cores 1 --memory 3g --work-dir "$folder/worker-$number" "spark://127.0.0.1:$port"
done
for number in 1 2; do
    until_logged "worker-$number" "Successfully registered with master"
done
say "A master and two workers of one core each are running; make cluster-stop stops them. To run the job on them:"
say "    VISION_ASSETS_SPARK_MASTER=spark://127.0.0.1:$port SPARK_CONF_DIR=$folder make run"
