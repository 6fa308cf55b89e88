"""What a container starts, and starting it here: the entry point and the arguments, as they are.

An image's environments stand in for the image: `.venv` for those of our services and of training,
`.venv-triton` for Triton's. What is started is stopped where its program begins, or ends by itself
at its first server, which is not there.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.deploy.manifests import Manifest
from tests.deploy.monitoring import DEPLOY

ROOT = DEPLOY.parent
REACHED = "reached"
NOBODY = "127.0.0.1:1"
"""An address at which nothing listens, so that a program ends where it connects first."""
OTHERS = ("dagster", "mlflow")
"""Packages of others that pods run by `-m`."""

_HERE = {
    "/app/": f"{ROOT}/",
    "/etc/visionops/prepare/": f"{DEPLOY}/kubernetes/base/",
    "/etc/visionops/prepare.py": f"{DEPLOY}/kubernetes/base/prepare.py",
}
# Ends a process where it would run the program: a module of ours that `-m` names, or a script. Of a
# program of others, where Python begins with its package: to import all of MLflow takes 9 s.
_STOP = f"""\
import os, runpy, sys

def _stop(event, arguments):
    if event != "exec":
        return
    file, caller = arguments[0].co_filename, sys._getframe().f_back
    is_module = caller and caller.f_code is runpy._run_code.__code__ and caller.f_locals["mod_name"]
    package = (sys.orig_argv[2:3] or [""])[0].partition(".")[0]
    is_package = package in {OTHERS!r} and file.endswith(f"/{{package}}/__init__.py")
    if is_module == "__main__" or is_package or (sys.argv and file == sys.argv[0]):
        os.write(1, b"{REACHED} " + file.encode())
        os._exit(0)

sys.addaudithook(_stop)
"""


@dataclass(frozen=True)
class Image:
    """What an image says of the program that it starts."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    workdir: str


@cache
def image(name: str) -> Image:
    """Read the image `app`, `trainer` or `triton` from its Dockerfile, its last stage."""
    text = (DEPLOY / "images" / f"{name}.Dockerfile").read_text().replace("\\\n", " ")
    last = text.rpartition("\nFROM ")[2]
    said = dict(re.findall(r"^(ENTRYPOINT|CMD|WORKDIR) (.*)$", last, re.MULTILINE))
    return Image(_words(said.get("ENTRYPOINT", "[]")), _words(said["CMD"]), said["WORKDIR"])


def image_of(container: Manifest) -> str | None:
    """Name the image of ours that a container has; None if it is of others."""
    name = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
    ours = (DEPLOY / "images" / f"{name}.Dockerfile").exists()
    return name if ours else None


def started(container: Manifest) -> tuple[str, ...]:
    """Return the words that Kubernetes starts a container of ours with.

    `command` takes the place of the entry point, `args` that of the image's own arguments; a
    `command` without `args` drops those too (kubernetes.io: "Define a Command and Arguments").
    """
    of_image = image(str(image_of(container)))
    command, arguments = container.get("command"), container.get("args")
    if command is not None:
        return (*command, *(arguments or ()))
    return (*of_image.entrypoint, *(of_image.command if arguments is None else arguments))


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, *, to_its_program: bool
) -> subprocess.CompletedProcess[str]:
    """Start these words as a container would, with nothing but the variables that are given.

    `to_its_program` ends it where Python would begin with the program; `folder` is an empty one.
    """
    variables = {"PATH": f"{sys.prefix}/bin:{os.defpath}", "HOME": str(folder), **environment}
    variables |= {"VISIONOPS_HOME": str(folder), "VISIONOPS_PROJECT_ROOT": str(ROOT)}
    if to_its_program:
        (folder / "sitecustomize.py").write_text(_STOP)
        variables["PYTHONPATH"] = str(folder)
    return subprocess.run(
        [here(word) for word in words],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def here(word: str) -> str:
    """Return an argument with the folder of an image replaced by that of this checkout."""
    for inside, outside in _HERE.items():
        word = word.replace(inside, outside)
    return word


def _words(said: str) -> tuple[str, ...]:
    return tuple(word.strip(',"') for word in shlex.split(said.strip("[]").replace('", "', '" "')))
