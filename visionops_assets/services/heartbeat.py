"""The sign of life of a service without a port: a file that it touches at each turn.

The supervisor of `visionops up` and the probes of Kubernetes look at its age.
"""

from visionops_assets.settings import Settings, heartbeat_file


class Heartbeat:
    """Beats for one service, named as in `visionops status`."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._file = heartbeat_file(settings, service)
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def beat(self) -> None:
        """Say that the loop goes on, even without success: another server may be down."""
        self._file.touch()
