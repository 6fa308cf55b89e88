"""Makes the network, and runs `tests.hosts.inside` in it: whatever happens, nothing is left."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.hosts.cluster import KINDS
from tests.hosts.containers import HOSTS_FILE, shared_memory_of
from tests.hosts.names import Names
from tests.hosts.network import OUTSIDE, SERVERS, layout, made

SERVER_NAMES = ("postgresql", "seaweedfs", "kafka")
"""The Services of the overlay's servers."""


def new_home() -> Path:
    """Make the folder of a run. It is not in /tmp, where each pod has a folder of its own."""
    return Path(tempfile.mkdtemp(prefix="visionops-hosts-", dir="/var/tmp"))


def names_in(home: Path) -> Names:
    """Return the names of the servers, in a file of the run."""
    places = layout(KINDS)
    return Names(home / "hosts", dict.fromkeys(SERVER_NAMES, places[SERVERS].address))


def launch(home: Path, *options: str) -> int:
    """Run it, in a network of its own, and return its exit code.

    Raises:
        NetworkError: there can be no such network here.
    """
    names = names_in(home)
    with made(list(layout(KINDS).values())) as network:
        script = f'mount --bind "{names.path}" {HOSTS_FILE}; exec "$@"'
        program = (sys.executable, "-m", "tests.hosts.inside", network.name, str(home), *options)
        try:
            command = network.inside(OUTSIDE, "sh", "-ec", script, "hosts", *program)
            return subprocess.run(command, check=False).returncode
        finally:
            shutil.rmtree(shared_memory_of(network), ignore_errors=True)
