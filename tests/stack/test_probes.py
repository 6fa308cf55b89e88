"""What counts as ready."""

import os
from pathlib import Path

from visionops_assets.stack.probes import beats


def test_a_beat_of_the_process_before_is_none(tmp_path: Path) -> None:
    heartbeat = tmp_path / "relay.alive"
    is_ready = beats(heartbeat)
    assert not is_ready(1_000.0)
    heartbeat.touch()
    os.utime(heartbeat, (999.0, 999.0))
    assert not is_ready(1_000.0)
    os.utime(heartbeat, (1_000.5, 1_000.5))
    assert is_ready(1_000.0)
