"""The README's lines, run as they are written, on photographs: a newcomer's first hour, in short.

Nothing is set but the addresses of the servers, and nothing is done but what the README says.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.pictures import photographs
from tests.stacks import keep_off_default_ports
from visionops_assets.settings import Settings

README = Settings.model_fields["project_root"].default / "README.md"
RUN_TIMEOUT_S = 780
NAMES = {"disc": "cat", "square": "dog", "triangle": "bird"}
"""The README speaks of cats and dogs."""
UNSEEN = "unseen"
LEAST_ACCURACY = 0.85


def make_photos(folder: Path, per_class: int, seed: int) -> None:
    """Write photographs of three classes, numbered from 1 on in each."""
    for place, picture in enumerate(photographs(per_class, seed)):
        file = folder / NAMES[picture.label] / f"{place // len(NAMES) + 1}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture.data)


def lines_of_the_readme() -> list[str]:
    """Return the lines of its blocks, without those of `make`: CI runs these by themselves."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if not line.startswith("make ")]


def accuracy_of(answers: Path) -> float:
    """Return the share of a folder's pictures that were answered by the name of their folder."""
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    right = [row for row in rows if row["label"] == Path(row["file"]).parent.name]
    return len(right) / len(rows)


@pytest.mark.timeout(RUN_TIMEOUT_S + 120)
def test_each_line_of_the_readme_runs_as_it_is_written(tmp_path: Path) -> None:
    make_photos(tmp_path / "my-photos", 200, seed=1)
    make_photos(tmp_path / UNSEEN, 20, seed=2)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    home = tmp_path / ".visionops"
    keep_off_default_ports(home)
    ours = {name for name in os.environ if name.startswith("VISIONOPS_")}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    # `errexit` ends the script at the first line that fails; `xtrace` shows which one it was.
    *lines, down = lines_of_the_readme()
    lines += [f"visionops predict --json {UNSEEN} > answers.jsonl", down]
    script = "\n".join(["set -o errexit -o nounset -o pipefail -o xtrace", *lines])
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
        stop = [str(tmp_path / ".venv" / "bin" / "visionops"), "down"]
        subprocess.run(stop, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Which one of a single picture is chance: the accuracy below is not.
    names = "|".join(NAMES.values())
    assert re.search(rf"^ *({names}) +[01]\.\d+ .*cat/1.jpg", done.stdout, re.MULTILINE)
    assert re.search(rf'"label":"({names})"', done.stdout)
    assert "Stopped." in done.stdout
    assert accuracy_of(tmp_path / "answers.jsonl") >= LEAST_ACCURACY
