"""The README's lines, run as they are written, on photographs that the test makes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.stacks import keep_off_default_ports
from visionops_assets.settings import Settings

README = Settings.model_fields["project_root"].default / "README.md"
RUN_TIMEOUT_S = 600
PHOTOS_PER_CLASS = 80
# Quicker than the defaults, and nothing else: a batch need not wait for others to fill it.
SOONER = {"VISIONOPS_BATCH_MAX_WAIT_S": "2"}


def make_photos(folder: Path) -> None:
    """Write photographs of two classes: a light disc (cat) or a dark one (dog) on noisy ground."""
    rng = np.random.default_rng(15)
    for name, grey in (("cat", 230), ("dog", 20)):
        (folder / name).mkdir(parents=True)
        for number in range(1, PHOTOS_PER_CLASS + 1):
            photo = rng.integers(60, 190, (120, 160, 3), dtype=np.uint8)
            centre = (int(rng.integers(40, 120)), int(rng.integers(40, 80)))
            cv2.circle(photo, centre, int(rng.integers(20, 35)), (grey, grey, grey), -1)
            assert cv2.imwrite(str(folder / name / f"{number}.jpg"), photo)


def lines_of_the_readme() -> list[str]:
    """Return the lines of its blocks, without those of `make`: CI runs these by themselves."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if not line.startswith("make ")]


@pytest.mark.timeout(RUN_TIMEOUT_S + 120)
def test_each_line_of_the_readme_runs_as_it_is_written(tmp_path: Path) -> None:
    make_photos(tmp_path / "my-photos")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    home = tmp_path / ".visionops"
    keep_off_default_ports(home)
    ours = {name for name in os.environ if name.startswith("VISIONOPS_")}
    environment = {name: value for name, value in os.environ.items() if name not in ours} | SOONER
    # `errexit` ends the script at the first line that fails; `xtrace` shows which one it was.
    script = "\n".join(["set -o errexit -o nounset -o pipefail -o xtrace", *lines_of_the_readme()])
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
    finally:
        down = [str(tmp_path / ".venv" / "bin" / "visionops"), "down"]
        subprocess.run(down, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ *cat +[01]\.\d+ ", done.stdout, re.MULTILINE)
    assert '"label":"cat"' in done.stdout
    assert "Stopped." in done.stdout
