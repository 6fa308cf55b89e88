"""One process of a pod, with what of a container matters here: folders, root, names, variables.

Images are not run: their programs are those of the virtual environments beside this one.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts.network import Network
from tests.hosts.pods import PodTemplate
from visionops_assets.settings import Settings
from visionops_assets.stack import processes
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.triton import triton

SHARED_MEMORY = Path("/dev/shm")
HOSTS_FILE = Path("/etc/hosts")
HEARTBEATS = Path("visionops/run")
"""Where services without a port touch their file, below /tmp."""
_NOT_OF_AN_IMAGE = ("VISIONOPS_", "AWS_", "MLFLOW_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Image:
    """What an image has: its entry point, programs by name, variables.

    `folders` are where they lie here, and `here` are arguments that an image does without, since it
    has things at their own places.
    """

    entrypoint: tuple[str, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    here: tuple[str, ...] = ()

    def command(self, template: PodTemplate) -> tuple[str, ...]:
        """Return what a pod of this image starts."""
        program = template.program or self.entrypoint
        first = self.programs.get(program[0], program[0])
        return (first, *program[1:], *template.arguments, *self.here)


def app_image() -> Image:
    """The image of our services: this Python."""
    return Image((sys.executable,))


def triton_image(plan: Plan, folder: Path) -> Image:
    """The image of Triton: its environment, with the backends laid out in `folder`."""
    server = triton(plan)
    program = Path(server.command[0])
    backends = folder / "backends"
    installed = program.parents[1]
    shutil.copytree(installed / "backends" / "python", backends / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = installed / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy2(stub, backends / "python")
    own = ("PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    return Image(
        programs={"tritonserver": str(program)},
        environment={name: server.env[name] for name in own},
        folders=(backends,),
        here=(f"--backend-directory={backends}",),
    )


class Container:
    """Where the processes of one pod run, one after the other: its folders outlive each."""

    def __init__(
        self,
        template: PodTemplate,
        image: Image,
        network: Network,
        place: str,
        folder: Path,
        names: Path,
        programs: Sequence[Path],
    ) -> None:
        self.template = template
        self._image = image
        self._network = network
        self._place = place
        self._folder = folder
        self._names = names
        self._programs = [*programs, *image.folders]
        self.log = folder / f"{template.kind}.log"
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Start a process, in a session of its own."""
        template, image = self.template, self._image
        script = "\n".join(["set -e", *self._mounts(), 'exec "$@"'])
        command = (*("sh", "-c", script, template.kind), *image.command(template))
        return processes.spawn(
            self._network.inside(self._place, *command),
            outer_environment() | dict(image.environment) | dict(template.environment),
            self._folder,
            self.log,
        )

    def source_of(self, path: str) -> Path:
        """Return what lies at one of the pod's folders."""
        folder = self.template.folders[path]
        if folder.in_memory:
            return shared_memory_of(self._network) / self._place
        return self._folder / folder.volume

    def _mounts(self) -> Iterator[str]:
        """Yield the shell's commands that make the file system what the pod is to see."""
        yield _bind(self._names, HOSTS_FILE)
        elsewhere = list(self._programs)
        # The one that hides where all of them lie comes last.
        for path in sorted(self.template.folders, key=self._folder.is_relative_to):
            source = self.source_of(path)
            source.mkdir(parents=True, exist_ok=True)
            # What would be hidden by the folder is put into it.
            for program in [p for p in elsewhere if p.is_relative_to(path)]:
                inner = source / program.relative_to(path)
                inner.mkdir(parents=True, exist_ok=True)
                yield _bind(program, inner)
                elsewhere.remove(program)
            yield _bind(source, Path(path))
        if self.template.has_read_only_root:
            # Bytecode is kept beside the programs; an image has it already.
            yield from (_bind(program, program) for program in elsewhere)
            yield "mount -o remount,bind,ro /"


@contextmanager
def mount_points(paths: Iterable[Path]) -> Iterator[None]:
    """Make folders that this machine lacks, to mount others on, and remove them again."""
    made: list[Path] = []
    try:
        for path in paths:
            for folder in (*reversed(path.parents), path):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
        yield
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # It is no longer there, or somebody put something in.
                folder.rmdir()


def asked_inside(process: subprocess.Popen[bytes], command: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs another one where a pod's process is."""
    return ("nsenter", f"--target={process.pid}", "--mount", "--net", "--", *command)


def outer_environment() -> dict[str, str]:
    """Return the variables that are the machine's own, and no setting."""
    return {n: v for n, v in os.environ.items() if not n.startswith(_NOT_OF_AN_IMAGE)}


def shared_memory_of(network: Network) -> Path:
    """Return the folder in memory of a run."""
    return SHARED_MEMORY / network.name


def programs_of(settings: Settings) -> list[Path]:
    """Return the folders of all programs, without those within another."""
    checkout = Path(__file__).parents[2]
    given = {checkout, Path(sys.prefix), Path(sys.base_prefix), settings.triton_environment}
    resolved = sorted({path.resolve() for path in given})
    return [p for p in resolved if not any(p != q and p.is_relative_to(q) for q in resolved)]


def _bind(source: Path, target: Path) -> str:
    return f"mount --rbind {shlex.quote(str(source))} {shlex.quote(str(target))}"
