"""Builds `base/services` of the declared services: `python deploy/kubernetes/build_services.py`.

A test compares.
"""

from pathlib import Path

from visionops_assets.cluster.service_manifests import files
from visionops_assets.roster.ours import SERVICES

FOLDER = Path(__file__).parent / "base" / "services"


def main() -> None:
    """Write the files, and delete those of services that are no more."""
    written = files(SERVICES)
    FOLDER.mkdir(exist_ok=True)
    for old in {path.name for path in FOLDER.iterdir()} - written.keys():
        (FOLDER / old).unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
