#!/bin/sh
# PySpark 4.3.0 (py4j 0.10.9.9): a signal handler may end a call into Java by an exception. If that is a BaseException
# other than KeyboardInterrupt, and something keeps it or its traceback, py4j keeps the thread's connection, on which the
# answer is still to come. The next call takes that answer for its own: it returns another call's result, without an
# error, and later calls stay one behind.
#
# Seen: after an interrupted call whose answer is "slow", max(3, 4) returns "slow" and max(5, 6) returns 4. After an
# ordinary Exception py4j drops the connection, and both are right.
# Who meets it: PySpark drivers in a framework that turns SIGINT or SIGTERM into a BaseException of its own.
#
# Needs Java and Python 3. Fails if the behaviour changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pyspark==4.3.0
cat >"$work/interrupted.py" <<'END'
import logging
import signal
from py4j.protocol import Py4JError
from py4j.version import __version__ as py4j
from pyspark import __version__ as pyspark
from pyspark.java_gateway import launch_gateway

class Interrupted(BaseException):
    pass

def answers_after(exception):
    gateway = launch_gateway()

    def interrupt(number, frame):
        raise exception

    signal.signal(signal.SIGALRM, interrupt)
    java = gateway.jvm.java
    largest = java.lang.Math.max
    future = java.util.concurrent.CompletableFuture()
    future.completeOnTimeout("slow", 2, java.util.concurrent.TimeUnit.SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        future.get()
    except (exception, Py4JError) as error:
        kept = error  # as a framework does that reports it later
    found = [largest(3, 4), largest(5, 6)]
    gateway.shutdown()
    return found

logging.disable()
print("PySpark", pyspark, "py4j", py4j)
found = {exception.__name__: answers_after(exception) for exception in (Interrupted, RuntimeError)}
for name, values in found.items():
    print(f"after {name}: max(3, 4) = {values[0]!r}, max(5, 6) = {values[1]!r}")
assert found == {"Interrupted": ["slow", 4], "RuntimeError": [4, 6]}, "the behaviour has changed"
END
"$work/venv/bin/python" "$work/interrupted.py"
