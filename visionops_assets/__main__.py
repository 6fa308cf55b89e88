"""`python -m visionops_assets`: the same as `visionops`."""

from visionops_assets.cli import main

main()
