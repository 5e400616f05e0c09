"""Find the images of a folder that look most like another image, by the cosine of their vectors.

    python examples/encode_images.py photo.jpg holiday/
    python examples/encode_images.py photo.jpg sample_images/ --data data

The pipeline must have made encodings. Neither Spark nor Dagster starts.
"""

import argparse
from pathlib import Path

import numpy as np

from vision_assets.encoding import encode, load_encoder
from vision_assets.errors import UserError
from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.io.formats import DEFAULT_PATTERNS


def main() -> None:
    """Print the five most similar images, the most similar one first."""
    parser = argparse.ArgumentParser(description="Find images that look like another image.")
    parser.add_argument("image", type=Path, help="image file")
    parser.add_argument("folder", type=Path, help="folder of images, at any depth")
    parser.add_argument("--data", help="folder of the tables; default: VISION_ASSETS_DATA, or data")
    options = parser.parse_args()

    suffixes = {pattern.removeprefix("*") for pattern in DEFAULT_PATTERNS}
    images = sorted(file for file in options.folder.rglob("*") if file.suffix.lower() in suffixes)
    if not images:
        raise SystemExit(f"{options.folder} has no images, or does not exist.")

    # One image: the encoder itself, which raises an error if the image cannot be used.
    encoder = load_encoder(data_folder=options.data)
    try:
        wanted = encoder.encode(options.image)
    except (ImageError, OSError) as error:
        raise SystemExit(f"{options.image}: {error}") from error
    print(f"{options.image}: {np.count_nonzero(wanted):,} of {encoder.length:,} visual words")

    # Many images: `encode` yields one result per image, also for an image that cannot be used.
    found = {}
    for image, encoded in zip(images, encode(images, data_folder=options.data), strict=True):
        if encoded.vector is None:
            print(f"{image}: {encoded.error}")
        else:
            found[image] = similarity(wanted, encoded.vector)

    for image in sorted(found, key=lambda image: -found[image])[:5]:
        print(f"{found[image]:.3f} {image}")


def similarity(vector: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine of the angle between two vectors; 0 if one of them is zero."""
    lengths = float(np.linalg.norm(vector) * np.linalg.norm(other))
    return float(vector @ other) / lengths if lengths else 0.0


if __name__ == "__main__":
    try:
        main()
    except UserError as error:  # it says what is missing or wrong, and what to do
        raise SystemExit(str(error)) from None
