"""Run one measurement in a process of its own and print its figures as JSON, last on stdout.

python -m benchmarks.call MODULE ARGUMENTS

MODULE has a function `measure`; ARGUMENTS are its keyword arguments as JSON. A package that is not installed
is named under "missing"; "inside" are the seconds of the function itself, the rest of the process's time
is its start and end.
"""

import json
import sys
import time
from importlib import import_module

OWN = {"benchmarks", "vision_assets"}


def main() -> None:
    module, arguments = sys.argv[1:]
    try:
        measure = import_module(module).measure
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in OWN:
            raise
        print(json.dumps({"missing": error.name}))
        return
    started = time.monotonic()
    figures = measure(**json.loads(arguments))
    print(json.dumps(figures | {"inside": time.monotonic() - started}))
    _stop_spark()


def _stop_spark() -> None:
    if "pyspark.sql" in sys.modules:
        session = sys.modules["pyspark.sql"].SparkSession.getActiveSession()
        if session is not None:
            session.stop()


if __name__ == "__main__":
    main()
