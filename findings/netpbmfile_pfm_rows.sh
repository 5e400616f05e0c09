#!/bin/sh
# netpbmfile 2026.1.29 reads a PFM upside down, and a PBM as booleans that are True where the paper is black.
#
# Its `imread` returns the rows of a PFM as the file stores them, from the lowest to the highest, while it returns those
# of PGM and PPM from the highest to the lowest. No attribute says so. Pillow 13.0.0 returns the same PFM the right way
# up. Who turns the booleans of a PBM into grey by `* 255` gets a negative.
#
# Seen: of an image whose upper row is 0.0 and whose lower row is 1.0, netpbmfile's first row is 1.0, Pillow's is 0.0.
# netpbmfile reads a PBM whose first pixel alone is black as True, then False for the others.
#
# Needs Python 3. Fails if the behaviour changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check netpbmfile==2026.1.29 pillow==13.0.0 numpy==2.4.6
cat >"$work/rows.py" <<'END'
import io
import netpbmfile
import numpy as np
import PIL
from PIL import Image

image = np.array([[0, 0], [1, 1]], "<f4")
pfm = b"Pf\n2 2\n-1.0\n" + image[::-1].tobytes()
ours = netpbmfile.NetpbmFile(io.BytesIO(pfm)).asarray()
theirs = np.asarray(Image.open(io.BytesIO(pfm)))
print(f"netpbmfile {netpbmfile.__version__}: first row of the PFM {ours[0].tolist()}")
print(f"Pillow {PIL.__version__}: first row of the PFM {theirs[0].tolist()}")
pbm = netpbmfile.NetpbmFile(io.BytesIO(b"P4\n8 1\n\x80")).asarray()
print(f"netpbmfile {netpbmfile.__version__}: values of the PBM {pbm[0].tolist()}")
assert ours[0].tolist() == [1.0, 1.0], "it is upright now"
assert theirs[0].tolist() == [0.0, 0.0]
assert pbm.dtype == bool and pbm[0].tolist() == [True] + 7 * [False], "black is no longer True"
END
"$work/venv/bin/python" "$work/rows.py"
