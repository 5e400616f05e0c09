"""Writes the sample: a folder of drawn images to try a pipeline on."""

import json
import re
import tempfile
from pathlib import Path

import cv2

from vision_assets.vision.data.sample_drawing import SAMPLE_CLASSES, draw_sample

MARKER_NAME = ".vision_assets_sample.json"
_VERSION = 1
_MAX_IMAGES_PER_CLASS = 9999


def write_sample_images(folder: Path, *, seed: int = 0, images_per_class: int = 24) -> int:
    """Write the sample: one folder per class, with JPEG images such as ``brick/brick_0001.jpg``.

    The same seed gives the same bytes, with the same versions of OpenCV and NumPy. Image number n of a class
    depends on the seed and n alone, so a larger sample contains the smaller one of the same seed.

    Parameters
    ----------
    folder : Path
        Where to write. It appears completely or not at all. It may exist if it is empty or contains a sample.
    seed : int
        Random seed, 0 or more.
    images_per_class : int
        Number of images in each of the ten classes, 1 to 9999.

    Returns
    -------
    int
        Number of images written; 0 if `folder` already contains this sample.

    Raises
    ------
    ValueError
        If `seed` or `images_per_class` is out of range.
    FileExistsError
        If `folder` is a file, or contains anything but a sample. Nothing is changed then.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, but is {seed}")
    if not 1 <= images_per_class <= _MAX_IMAGES_PER_CLASS:
        raise ValueError(f"images_per_class must be 1 to {_MAX_IMAGES_PER_CLASS}, but is {images_per_class}")
    marker = json.dumps({"imagesPerClass": images_per_class, "seed": seed, "version": _VERSION})
    folder = folder.resolve()
    if _marker_of(folder) == marker:
        return 0
    _check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fresh = Path(temporary) / "fresh"
        _write_all(fresh, seed, images_per_class)
        (fresh / MARKER_NAME).write_text(marker)
        if folder.exists():
            folder.rename(Path(temporary) / "former")
        fresh.rename(folder)
    return len(SAMPLE_CLASSES) * images_per_class


def is_sample(folder: Path) -> bool:
    """Tell whether a folder was written by `write_sample_images`."""
    return _marker_of(folder) is not None


def _write_all(folder: Path, seed: int, images_per_class: int) -> None:
    for label in SAMPLE_CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(1, images_per_class + 1):
            image = draw_sample(label, number, seed=seed)
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
            (folder / label / f"{label}_{number:04d}.jpg").write_bytes(data.tobytes())


def _marker_of(folder: Path) -> str | None:
    try:
        return (folder / MARKER_NAME).read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _check_free(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose a folder for the sample images")
    found = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    if not found and not any(folder.iterdir()):
        return
    foreign = sorted(str(path) for path in found if not _is_sample_file(path))
    if foreign or _marker_of(folder) is None:
        example = f", such as {foreign[0]}" if foreign else ""
        raise FileExistsError(f"{folder} is not empty and contains files other than a sample{example}")


def _is_sample_file(path: Path) -> bool:
    label = path.parent.as_posix()
    own = label in SAMPLE_CLASSES and re.fullmatch(rf"{label}_\d{{4}}\.jpg", path.name) is not None
    return own or path.as_posix() == MARKER_NAME
