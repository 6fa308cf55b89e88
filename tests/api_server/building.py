"""Builds `apiextensions-apiserver` once, from Debian's sources, in a Debian of its own.

Debian's unstable has these sources in the version of a current Kubernetes, and etcd. They are built
and fetched in a folder made by debootstrap, which is removed afterwards.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

DEBIAN = ("sid", "http://deb.debian.org/debian")
PACKAGES = ("golang-go", "golang-k8s-apiextensions-apiserver-dev", "etcd-server")
SERVER, ETCD = "apiextensions-apiserver", "etcd"
_BUILD = f"go build -trimpath -o /{SERVER} k8s.io/{SERVER}"
_GO = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "CGO_ENABLED": "0", "HOME": "/root"}
_BOUND = ("/proc", "/dev")
"""Go wants them."""


class CannotBuildError(Exception):
    """The machine lacks something; the message says what."""


def built(folder: Path, console: Console) -> tuple[Path, Path]:
    """Return the programs of the API server and of etcd in a folder, built if they are not there.

    Raises:
        CannotBuildError: who asks is not root, or there is no debootstrap.
    """
    server, etcd = folder / SERVER, folder / ETCD
    if server.exists() and etcd.exists():
        return server, etcd
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise CannotBuildError(
            "Building the API server takes root and debootstrap: `apt-get install debootstrap`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="debian-", dir=folder))
    try:
        _build(root, console)
        shutil.copy2(root / "usr/bin" / ETCD, etcd)
        shutil.copy2(root / SERVER, server)
    finally:
        shutil.rmtree(root)
    return server, etcd


def _build(root: Path, console: Console) -> None:
    console.print(f"Making a Debian with Go and the sources, in {root}: about 7 min, 4 GB.")
    wanted = f"--include={','.join(PACKAGES)}"
    _run("debootstrap", "--variant=minbase", wanted, DEBIAN[0], str(root), DEBIAN[1])
    console.print("Building the API server: several minutes.")
    with _bound(root):
        _run("chroot", str(root), "sh", "-c", _BUILD, env=os.environ | _GO)


@contextmanager
def _bound(root: Path) -> Iterator[None]:
    bound: list[str] = []
    try:
        for folder in _BOUND:
            _run("mount", "--bind", folder, f"{root}{folder}")
            bound.append(f"{root}{folder}")
        yield
    finally:
        for folder in reversed(bound):
            _run("umount", folder)


def _run(*command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise CannotBuildError(f"{' '.join(command)} failed:\n{said}")
