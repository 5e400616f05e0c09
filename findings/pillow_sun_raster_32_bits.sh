#!/bin/sh
# Pillow 13.0.0 reads a Sun raster of 32 bits as blue, green, red, unused; the format has the unused byte first
# (RT_STANDARD: unused, blue, green, red). Every channel is that of its neighbour, without an error.
#
# Seen: of a pixel with red 10, green 20, blue 30, stored as 00 1E 14 0A, Pillow returns (20, 30, 0); OpenCV 5.0.0
# returns (10, 20, 30).
#
# Needs Python 3. Fails if the behaviour changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat >"$work/raster.py" <<'END'
import io
import struct
import cv2
import numpy as np
import PIL
from PIL import Image

red, green, blue = 10, 20, 30
pixels = bytes([0, blue, green, red]) * 4
file = struct.pack(">8I", 0x59A66A95, 2, 2, 32, len(pixels), 1, 0, 0) + pixels
pillow = Image.open(io.BytesIO(file)).convert("RGB").getpixel((0, 0))
opencv = tuple(int(v) for v in cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[0, 0, ::-1])
print(f"stored: red {red}, green {green}, blue {blue}")
print(f"Pillow {PIL.__version__}: {pillow}")
print(f"OpenCV {cv2.__version__}: {opencv}")
assert pillow == (20, 30, 0), "Pillow reads other channels now"
assert opencv == (red, green, blue)
END
"$work/venv/bin/python" "$work/raster.py"
