import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.vision.corpus import picture, saved
from visionops_assets.catalog.labelling_items import BatchItem
from visionops_assets.cli import app
from visionops_assets.cli.labelling_files import COLUMNS, LABELS_FILE, Asked, read_labels, save
from visionops_assets.errors import InvalidRequestError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore

ID = "5e0c3d1e-6d3b-4f0f-8f62-0f1f5d1f3c11"
HEAD = "prediction_id,answer,label"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show"], "ID"),
        (["show", "0"], "ID"),
        (["show", "seven"], "ID"),
        (["apply"], "FILE.csv"),
        (["apply", "/nowhere/labels.csv"], "does not exist"),
    ],
)
def test_bad_input_ends_with_a_message(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["labelling-batches", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column label and no column prediction_id"),
        ("prediction_id,answer\n", "no column label"),
        (f"{HEAD}\n{ID},cat,\n", "holds no label"),
        (f"{HEAD}\n{ID},cat,dog\n12,cat,dog\n", "line 3: '12' is not a prediction id"),
        ("label,prediction_id\ndog\n", "line 2: None is not a prediction id"),
        (f"{HEAD},media_id\n,cat,dog,12\n", "line 2: '12' is not a media id"),
        (f"{HEAD},media_id,start_s\n,cat,dog,{ID},soon\n", "start_s and end_s are no seconds"),
        (f'{HEAD}\n{ID},cat,"dog\n', "no CSV file"),
        (f"{HEAD}\n{ID},cat,\udce4\n", "no CSV file in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidRequestError) as failure:
        read_labels(path)
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)


LABELS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)


@given(st.dictionaries(st.uuids(), st.none() | LABELS, min_size=1, max_size=5), st.booleans())
def test_labels_are_read_as_they_were_filled_in(
    filled: dict[UUID, str | None], by_spreadsheet: bool
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        encoding = "utf-8-sig" if by_spreadsheet else "utf-8"
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEAD.split(","))  # As in files of versions before.
            writer.writerows([key, "cat", f" {label or ''} "] for key, label in filled.items())
        known = {Asked(key): label for key, label in filled.items() if label}
        if known:
            assert read_labels(path) == known
        else:
            with pytest.raises(InvalidRequestError, match="holds no label"):
                read_labels(path)


def test_a_batch_is_saved_to_be_filled_in_and_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = saved(picture(), "PNG")
    monkeypatch.setattr(ObjectStore, "get", lambda _, key: image if key == "kept" else b"")
    items = [
        BatchItem(1, UUID(ID), "cat, or dog", 0.4, "kept"),
        BatchItem(2, UUID(int=2), "dog", 0.9, label="cat"),
    ]
    folder = tmp_path / "batch"
    assert save(items, folder, "birds") == (1, [])
    assert {path.name for path in folder.iterdir()} == {f"{ID}.png", LABELS_FILE}
    assert (folder / f"{ID}.png").read_bytes() == image
    assert read_labels(folder / LABELS_FILE) == {Asked(UUID(int=2)): "cat"}
    with pytest.raises(InvalidRequestError, match="exists already"):
        save(items, folder, "birds")


def test_images_that_are_gone_or_altered_keep_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_: ObjectStore, key: str) -> bytes:
        if key == "gone":
            raise NotFoundError("gone is not there.")
        return saved(picture(), "PNG")

    monkeypatch.setattr(ObjectStore, "get", get)
    keys = ["gone", f"altered.{'0' * 64}", "kept"]
    items = [BatchItem(i, UUID(int=i), "cat", 0.4, key) for i, key in enumerate(keys)]
    count, lost = save(items, tmp_path, "birds")
    assert count == 1
    assert [line.partition(": ")[0] for line in lost] == [str(UUID(int=0)), str(UUID(int=1))]
    assert "gone is not there" in lost[0]
    assert "altered" in lost[1]
    assert {path.name for path in tmp_path.iterdir()} == {f"{UUID(int=2)}.png", LABELS_FILE}


def test_files_and_parts_of_videos_are_saved_and_read_with_their_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = saved(picture(), "PNG")
    monkeypatch.setattr(ObjectStore, "get", lambda _, key: image if key == "media/x.y" else b"")
    whole, part = UUID(int=3), UUID(int=4)
    items = [
        BatchItem(1, media_id=whole, filename="a/é.png", object_key="media/x.y"),
        BatchItem(2, media_id=part, filename="b.mp4", start_s=0.1, end_s=2.0, label="cat"),
        BatchItem(3, UUID(ID), "cat", 0.4),
    ]
    assert save(items, tmp_path, "birds") == (1, [])
    assert {path.name for path in tmp_path.iterdir()} == {f"{whole}.png", LABELS_FILE}
    rows = list(csv.DictReader((tmp_path / LABELS_FILE).read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["filename"] for row in rows] == ["a/é.png", "b.mp4", ""]
    for row in rows:
        row["label"] = row["label"] or "owl"
    with (tmp_path / LABELS_FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    assert read_labels(tmp_path / LABELS_FILE) == {
        Asked(media_id=whole, model="birds"): "owl",
        Asked(None, part, 0.1, 2.0, "birds"): "cat",
        Asked(UUID(ID)): "owl",
    }
