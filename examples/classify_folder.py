"""Classify all images of a folder, and compare the labels with the names of the images' folders.

    python examples/classify_folder.py holiday/
    python examples/classify_folder.py sample_images/ --data data

The pipeline must have made a classifier. Neither Spark nor Dagster starts.
"""

import argparse
from collections import Counter
from pathlib import Path

from vision_assets.errors import UserError
from vision_assets.prediction import predict
from vision_assets.vision.io.formats import DEFAULT_PATTERNS


def main() -> None:
    """Print a line per image, then the number of images per label."""
    parser = argparse.ArgumentParser(description="Classify all images of a folder.")
    parser.add_argument("folder", type=Path, help="folder of images, at any depth")
    parser.add_argument("--data", help="folder of the tables; default: VISION_ASSETS_DATA, or data")
    options = parser.parse_args()

    if not options.folder.is_dir():
        raise SystemExit(f"{options.folder} is not a folder, or does not exist.")
    suffixes = {pattern.removeprefix("*") for pattern in DEFAULT_PATTERNS}
    images = sorted(file for file in options.folder.rglob("*") if file.suffix.lower() in suffixes)
    if not images:
        raise SystemExit(f"{options.folder} has no images.")

    found: Counter[str] = Counter()
    correct = 0
    # `predict` reads and classifies one image after the other, as the loop asks for it.
    for image, prediction in zip(images, predict(images, data_folder=options.data), strict=True):
        name = image.relative_to(options.folder)
        if prediction.error:
            print(f"{name}: {prediction.error}")
            continue
        label, score = prediction.labels[0], prediction.scores[0]
        print(f"{name}: {label} {score:.3f}, {prediction.keypoints:,} keypoints")
        found[label] += 1
        correct += label == image.parent.name

    print()
    for label, count in found.most_common():
        print(f"{count:6,} {label}")
    print(f"{correct:,} of {found.total():,} images have the label that their folder has as its name.")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:  # it says what is missing or wrong, and what to do
        raise SystemExit(str(error)) from None
