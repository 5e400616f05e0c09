"""The console command ``vision-assets``."""

from vision_assets.cli.commands import main as main
