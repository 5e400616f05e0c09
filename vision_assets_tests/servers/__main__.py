"""Run a storage by hand, until Ctrl-C.

python -m vision_assets_tests.servers STORAGE FOLDER prints the URI of an empty folder on it, and what
spark-defaults.conf has to have besides what the project sets itself.
"""

import argparse
import signal
from contextlib import suppress
from pathlib import Path

from vision_assets_tests.servers.s3 import S3
from vision_assets_tests.servers.storages import STORAGES

_BUCKET = "bucket"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vision_assets_tests.servers")
    parser.add_argument("storage", choices=STORAGES)
    parser.add_argument("folder", type=Path, help="for all that it writes")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt), STORAGES[arguments.storage](arguments.folder) as storage:
        if isinstance(storage, S3):
            storage.create_bucket(_BUCKET)
            print(f"# {storage.endpoint}\n# s3a://{_BUCKET}")
            for name, value in storage.properties().items():
                print(f"spark.hadoop.{name} {value}")
        else:
            print(f"# {storage.uri}")
        print("# until Ctrl-C", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
