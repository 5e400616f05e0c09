#!/bin/sh
# make jars: fetches the Java libraries for S3 and Alluxio into the folder where runs look for them. make sets CONNECTORS.
set -u
. "$(dirname "$0")/common.sh"

sh scripts/setup.sh run || exit 1
use_environment
exec python -c '
import sys
from vision_assets.errors import UserError
from vision_assets.spark.connectors import CONNECTORS, libraries

known = ", ".join(CONNECTORS)
for scheme in sys.argv[1].split(","):
    if scheme not in CONNECTORS:
        sys.exit(f"Error: CONNECTORS={sys.argv[1]}: {scheme} is not one of {known}.")
    try:
        print(f"{scheme}:// {libraries(scheme)}")
    except UserError as error:
        sys.exit(f"Error: {error}")
' "${CONNECTORS:-s3a,alluxio}"
