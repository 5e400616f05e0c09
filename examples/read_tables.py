"""Read the tables with pandas and DuckDB: images per label, a matrix of encodings, keypoints of one image.

    python examples/read_tables.py                           # the first image that has keypoints
    python examples/read_tables.py --image cats/tabby.jpg    # another one, by its fileName

The tables are read where `vision-assets path` finds them. Spark is not needed.
"""

import argparse

import duckdb  # not among the dependencies of vision_assets: pip install duckdb
import numpy as np
import pandas as pd

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.snapshots.store import open_store
from vision_assets.vision.features.codecs import KEYPOINT_FIELDS, keypoint_matrix


def main() -> None:
    """Print what the tables contain."""
    parser = argparse.ArgumentParser(description="Read the tables of the pipeline.")
    parser.add_argument("--data", default=settings.data_folder(), help="folder of the tables")
    parser.add_argument("--image", help="fileName of an image; default: the first that has keypoints")
    options = parser.parse_args()

    store = open_store(options.data)
    features = store.require_current(("sift_features",)).uri
    encodings = store.require_current(("bow_encodings",)).uri

    print("Images per label (DuckDB):")
    print(images_per_label(features).to_string(index=False))

    names, matrix = matrix_of_encodings(encodings)
    print(f"\nEncodings (pandas): a matrix of {matrix.shape[0]:,} x {matrix.shape[1]:,} {matrix.dtype}.")
    print(f"{names[0]} has {np.count_nonzero(matrix[0]):,} different visual words.")

    name, keypoints = keypoints_of(features, options.image)
    print(f"\n{name}: {len(keypoints):,} keypoints. The largest five:")
    print(keypoints.nlargest(5, "size").to_string(index=False, float_format="{:.3f}".format))


def images_per_label(features: str) -> pd.DataFrame:
    """Count images and keypoints of each label, without loading the table."""
    query = """
        select coalesce(label, '(none)') as label, count(*) as images, sum(keypointCount)::bigint as keypoints
        from read_parquet(?) group by all order by all
    """
    return duckdb.execute(query, [f"{features}/*.parquet"]).df()


def matrix_of_encodings(encodings: str) -> tuple[list[str], np.ndarray]:
    """Return the names of the images and their encodings, one row per image, shape (images, words)."""
    table = pd.read_parquet(encodings, columns=["fileName", "bow"]).sort_values("fileName")
    return table["fileName"].to_list(), np.stack(table["bow"].to_list())


def keypoints_of(features: str, image: str | None) -> tuple[str, pd.DataFrame]:
    """Return the name of an image and its keypoints, one row per keypoint. Only that image is loaded."""
    chosen = ("keypointCount", ">", 0) if image is None else ("fileName", "==", image)
    rows = pd.read_parquet(features, columns=["fileName", "keypoints"], filters=[chosen])
    if rows.empty:
        raise SystemExit(f"{features} has no image {image or 'with keypoints'}.")
    row = rows.sort_values("fileName").iloc[0]
    return row["fileName"], pd.DataFrame(keypoint_matrix(row["keypoints"]), columns=list(KEYPOINT_FIELDS))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:  # it says what is missing or wrong, and what to do
        raise SystemExit(str(error)) from None
