"""The names of Services, as every pod finds them: one file of hosts, changed in place.

The name of a headless Service stands for the pods that are ready, and for nobody if none is.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

SIZE_BYTES = 4096
"""All of it is written at once and stays as long, so that no reader finds a half of it."""


class Names:
    """The file, which is bound over /etc/hosts of each pod."""

    def __init__(self, path: Path, fixed: Mapping[str, str]) -> None:
        self.path = path
        self._fixed = {"localhost": ["127.0.0.1"]} | {name: [at] for name, at in fixed.items()}
        self._writing = threading.Lock()
        self.write({})

    def write(self, services: Mapping[str, Sequence[str]]) -> None:
        """Say where headless Services are, by their names."""
        content = hosts_file({**self._fixed, **services})
        with self._writing:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(file, content, 0)
            finally:
                os.close(file)


def hosts_file(addresses: Mapping[str, Sequence[str]]) -> bytes:
    """Return a file of hosts, padded to `SIZE_BYTES`."""
    lines = [f"{address} {name}\n" for name, given in addresses.items() for address in given]
    content = "".join(lines).encode()
    assert len(content) <= SIZE_BYTES
    return content.ljust(SIZE_BYTES, b"\n")
