"""``python -m vision_assets``: the console command."""

import sys

from vision_assets.cli import main

if __name__ == "__main__":
    sys.exit(main())
