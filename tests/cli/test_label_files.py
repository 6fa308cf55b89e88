"""`visionops labels import` and `export`, by a client that a test plays."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from visionops_assets.cli import app
from visionops_assets.cli import label_files as module
from visionops_client.annotations import RefusedLine, TakenLines

KEY = "00000000-0000-0000-0000-000000000007"
BOX = {"label": "van", "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}


DETAILS = {
    "gone.png": "There is no such file.",
    "new.png": "It has no class 'bus'. Add new_classes=true if it shall learn a new one.",
}


class Client:
    """Takes all but the files that are named in `DETAILS`."""

    def __init__(self) -> None:
        self.requests: list[Sequence[Mapping[str, Any]]] = []
        self.options: list[dict[str, Any]] = []
        self.size_px: list[int] | None = None

    def annotate_files(
        self, model: str, lines: Sequence[Mapping[str, Any]], **options: Any
    ) -> TakenLines:
        assert model == "classifier"
        self.requests.append(lines)
        self.options.append(options)
        refusals = tuple(
            RefusedLine(line=number, code="a_code", detail=DETAILS[line["filename"]])
            for number, line in enumerate(lines, 1)
            if line["filename"] in DETAILS
        )
        refused = len(refusals)
        return TakenLines(
            lines=len(lines),
            added=len(lines) - refused,
            unchanged=0,
            refused=refused,
            refusals=refusals,
        )

    def annotations_of_files(self, model: str, *, source: str | None) -> Iterator[dict[str, Any]]:
        assert (model, source) == ("classifier", "gate")
        common = {"sha256": None, "start_s": None, "end_s": None}
        whole, boxed = {"label": "car"}, {"label": "van", "boxes": [BOX]}
        yield {"media_id": KEY, "filename": "1.png", "annotation": whole} | common
        told = {"media_id": KEY, "filename": "2.png", "annotation": boxed} | common
        yield told | {"size_px": self.size_px}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    played = Client()

    @contextmanager
    def opened(_key: str | None, _about: str) -> Iterator[Client]:
        yield played

    monkeypatch.setattr(module, "_client", opened)
    return played


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["labels", *map(str, words)])
    return result.exit_code, result.stdout


def test_good_rows_are_taken_and_bad_ones_listed(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    file.write_text(
        "filename,label,x,y,width,height\n"
        "1.png,van,0.1,0.2,0.3,0.4\n"
        "2.png,car\n2.png,van\n"
        "gone.png,car\n"
        "new.png,bus\n"
        "3.png,car,x\n"
    )
    words = ("import", file, "--model", "classifier", "--format", "csv", "--source", "gate")
    code, shown = run(*words, "--json")
    assert code == 2
    told = json.loads(shown)
    assert (told["added"], told["unchanged"]) == (1, 0)
    assert {row["where"]: row["reason"] for row in told["refused"]} == {
        "l.csv, line 7": "x is no number: 'x'.",
        "l.csv, line 6": "It has no class 'bus'. Add --new-classes if it shall learn a new one.",
        "l.csv, line 3": "It has 2 different labels, 'car', 'van', and this model takes one per "
        "picture.",
        "l.csv, line 5": "There is no such file.",
    }
    assert client.requests[0][0] == {
        "filename": "1.png",
        "annotation": {"label": "van", "boxes": [BOX]},
    }
    assert client.options == [{"source": "gate", "new_classes": False}]
    code, shown = run(*words)
    assert (code, shown.splitlines()[:2]) == (
        2,
        ["Added 1 annotations; 0 were there already.", "4 refused:"],
    )


def test_pictures_beside_the_file_are_found_by_their_content(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "1.png").write_bytes(b"abc")
    (tmp_path / "l.csv").write_text("filename,label\n1.png,car\n../l.csv,car\n")
    words = ("--model", "classifier", "--format", "csv", "--images", tmp_path)
    assert run("import", tmp_path / "l.csv", *words)[0] == 0
    first, second = client.requests[0]
    assert first["sha256"].startswith("ba7816bf")
    assert "sha256" not in second


def test_what_counts_is_written(client: Client, tmp_path: Path) -> None:
    assert client.requests == []
    words = ("--model", "classifier", "--source", "gate")
    code, shown = run("export", tmp_path / "l.csv", "--format", "csv", *words)
    assert (code, shown) == (0, f"Wrote 2 annotations to {tmp_path / 'l.csv'}.\n")
    code, shown = run("export", tmp_path / "c.json", "--format", "coco", *words, "--json")
    assert code == 2
    assert [row["where"] for row in json.loads(shown)["left_out"]] == ["2.png"]


def test_boxes_are_written_in_pixels_of_the_size_that_the_catalog_knows(
    client: Client, tmp_path: Path
) -> None:
    client.size_px = [100, 50]
    words = ("--model", "classifier", "--source", "gate", "--format", "coco")
    code, _ = run("export", tmp_path / "l.json", *words)
    assert code == 0
    written = json.loads((tmp_path / "l.json").read_text())
    assert [each["bbox"] for each in written["annotations"] if "bbox" in each] == [[10, 10, 30, 20]]
