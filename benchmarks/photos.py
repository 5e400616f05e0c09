"""Images of the size of photos."""

from pathlib import Path

import cv2
import numpy as np

_SHAPES = 3000


def measure(folder: str, count: int, width: int, height: int) -> dict[str, int]:
    """Draw JPEGs of soft noise and shapes, in which SIFT finds about as many keypoints as in a photo."""
    Path(folder).mkdir(parents=True)
    for number in range(count):
        generator = np.random.default_rng([20160122, number])
        grid = generator.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        image = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(_SHAPES):
            start = generator.integers(0, (width, height))
            end = start + generator.integers(1, max(2, width // 40), 2)
            color = generator.integers(0, 256, 3).tolist()
            cv2.rectangle(image, start.tolist(), end.tolist(), color, thickness=-1)
        cv2.imwrite(str(Path(folder, f"photo_{number}.jpg")), image)
    return {"images": count}
