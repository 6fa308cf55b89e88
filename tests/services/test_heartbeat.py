"""The sign of life of a service without a port."""

import os
from pathlib import Path

from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.settings import Settings, heartbeat_file


def test_each_beat_makes_its_file_young_in_a_folder_that_need_not_be_there(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "not" / "yet")
    file = heartbeat_file(settings, "sweep")
    heart = Heartbeat(settings, "sweep")
    assert not file.exists(), "it was not alive yet"
    heart.beat()
    os.utime(file, (0, 0))
    heart.beat()
    assert file.stat().st_mtime > 0
    Heartbeat(settings, "sweep")
    assert file == tmp_path / "not" / "yet" / "run" / "sweep.alive"
