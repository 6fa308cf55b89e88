"""`visionops predict`: a line per file, whatever the files are."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from tests.catalog.standings import standing, version
from visionops_assets.catalog.next_steps import ModelStanding
from visionops_assets.cli import app
from visionops_assets.cli.predict import MEANING, POLL_S
from visionops_assets.client.importing.folder import Folder
from visionops_assets.client.importing.listing import Failure, Listing
from visionops_assets.contracts import GateState
from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    NoModelServedError,
    ServerUnreachableError,
)
from visionops_assets.resources import triton
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.settings import load_settings
from visionops_assets.tasks.base import Answer

ERRORS = {
    b"junk": CorruptMediaError("It does not decode."),
    b"slow": DeadlineExceededError("Triton did not answer in time. Try again."),
    b"nobody": ServerUnreachableError("Triton does not answer."),
    b"unserved": NoModelServedError("Triton has no such model."),
}
UNTRAINED = standing()
LOADING = standing(champion=3)
REFUSED = standing(version(2, GateState.REFUSED))


class FakeTriton:
    """Answers with the bytes of the image, or with the error that they stand for."""

    def predict_one(self, model: str, image: bytes, *, task: str) -> ServedAnswer:
        assert task == "classification"
        if image in ERRORS:
            raise ERRORS[image]
        return ServedAnswer(Answer((image.decode(),), (0.1, 0.9), 0.9), (), UUID(int=7), 3, "ds-1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with photos, one of them not to be seen."""
    monkeypatch.setattr(triton, "TritonServer", FakeTriton)
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    for name in ("photos/a.png", "photos/b/c.png", "photos/.hidden.png", "d.png"):
        photo = tmp_path / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(b"cat" if "c.png" in name else b"dog")
    yield tmp_path
    load_settings.cache_clear()


def predict(*words: str) -> Result:
    return CliRunner().invoke(app, ["predict", *words])


def test_a_folder_and_files_give_a_line_each_and_a_summary() -> None:
    done = predict("photos", "d.png")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "      answer  probability  file",
        "         dog       0.9000  photos/a.png",
        "         cat       0.9000  photos/b/c.png",
        "         dog       0.9000  d.png",
        "3 answers: 2 dog, 1 cat. Left out: 1 hidden.",
        MEANING,
    ]


def test_one_file_needs_no_summary() -> None:
    done = predict("d.png")
    assert done.stdout.splitlines()[1:] == ["         dog       0.9000  d.png", MEANING]


def test_a_bad_file_stops_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONOPS_MAX_PREDICTED_IMAGE_BYTES", "10")
    load_settings.cache_clear()
    for name, content in (("a.png", b"junk"), ("b/a.png", b"slow"), ("z.png", b"x" * 11)):
        (folder / "photos" / name).write_bytes(content)
    done = predict("gone.png", "photos")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "visionops: gone.png: unreadable: No such file or directory",
        "visionops: photos/a.png: corrupt: It does not decode.",
        "visionops: photos/b/a.png: deadline_exceeded: Triton did not answer in time. Try again.",
        "visionops: photos/z.png: too_large: The image has more than 10 bytes.",
    ]
    assert done.stdout.splitlines()[1:-1] == [
        "         cat       0.9000  photos/b/c.png",
        "1 answer: 1 cat. 4 files could not be used. Left out: 1 hidden.",
    ]


def test_programs_get_a_line_per_file_in_order_and_nothing_else(folder: Path) -> None:
    (folder / "photos" / "a.png").write_bytes(b"junk")
    done = predict("photos", "d.png", "--json")
    assert done.exit_code == 2
    assert done.stderr == ""
    bad, *good = map(json.loads, done.stdout.splitlines())
    assert bad == {"file": "photos/a.png", "code": "corrupt", "detail": "It does not decode."}
    assert [(each["file"], each["label"]) for each in good] == [
        ("photos/b/c.png", "cat"),
        ("d.png", "dog"),
    ]
    assert good[0]["probability"] == 0.9
    assert good[0]["model_version"] == 3


@pytest.mark.parametrize("is_json", [True, False])
def test_without_a_server_nothing_is_said_of_any_file(folder: Path, is_json: bool) -> None:
    (folder / "photos" / "a.png").write_bytes(b"nobody")
    done = predict("photos", *["--json"] * is_json)
    assert isinstance(done.exception, ServerUnreachableError)
    assert done.stdout == ""


def stand(monkeypatch: pytest.MonkeyPatch, *standings: ModelStanding) -> list[float]:
    """Let the catalog say this of the model, one after the other, and then always the last.

    Returns the pauses that were made since, which take no time.
    """
    waited_s: list[float] = []
    said = chain(standings, repeat(standings[-1]))
    monkeypatch.setattr("visionops_assets.cli.predict.standing_of", lambda _: next(said))
    monkeypatch.setattr("visionops_assets.cli.predict.time.sleep", waited_s.append)
    return waited_s


def serve(monkeypatch: pytest.MonkeyPatch, *versions: int | None) -> None:
    """Let Triton say that it serves these versions, one after the other."""
    served = iter(versions)
    monkeypatch.setattr(FakeTriton, "served_version", lambda *_: next(served), raising=False)


def test_who_waits_is_told_once_for_what_and_then_gets_the_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited_s = stand(monkeypatch, UNTRAINED, UNTRAINED, LOADING)
    serve(monkeypatch, None, None, None, 3)
    done = predict("d.png", "--wait")
    assert done.exit_code == 0, done.output
    untrained, loading = done.stderr.splitlines()
    assert "none was trained yet" in untrained
    assert "Version 3 of classifier is being loaded." in loading
    assert "         dog       0.9000  d.png" in done.stdout.splitlines()
    assert waited_s == [POLL_S] * 3, "the catalog is not asked without a pause"


def test_nobody_waits_for_what_a_person_must_do_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stand(monkeypatch, REFUSED)
    serve(monkeypatch, None)
    done = predict("d.png", "--wait")
    assert isinstance(done.exception, NoModelServedError)
    assert "was refused by the gate" in str(done.exception)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("standing", "said"),
    [(UNTRAINED, "none was trained yet"), (LOADING, "Triton has no such model.")],
)
def test_where_no_model_serves_the_nearest_reason_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, standing: ModelStanding, said: str
) -> None:
    """Without a champion that is what the catalog says, else what Triton does."""
    stand(monkeypatch, standing)
    (folder / "d.png").write_bytes(b"unserved")
    done = predict("d.png")
    assert isinstance(done.exception, NoModelServedError)
    assert said in str(done.exception)


def test_once_no_server_answers_files_that_wait_are_not_asked_about(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_go_on = [], threading.Event()

    def refuse_the_first(_: FakeTriton, __: str, image: bytes, **___: str) -> ServedAnswer:
        asked.append(image)
        if image == b"nobody":
            raise ERRORS[image]
        assert may_go_on.wait(60)
        return ServedAnswer(Answer(("dog",), (1.0,), 1.0), (), UUID(int=7), 3, "ds-1")

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *args: bool, **options: bool) -> None:
            may_go_on.set()
            super().shutdown(*args, **options)

    monkeypatch.setattr("visionops_assets.cli.predict.ThreadPoolExecutor", Pool)
    monkeypatch.setattr(FakeTriton, "predict_one", refuse_the_first)
    monkeypatch.setattr(triton, "CONCURRENT_REQUESTS", 2)
    for number in range(20):
        (folder / "photos" / f"z{number:02}.png").write_bytes(b"dog")
    (folder / "photos" / "a.png").write_bytes(b"nobody")
    assert isinstance(predict("photos").exception, ServerUnreachableError)
    assert len(asked) <= 3


def test_a_folder_in_a_folder_that_cannot_be_read_is_named_as_it_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unreadable = Failure("b", "unreadable", "Permission denied")
    monkeypatch.setattr(Folder, "list_files", lambda _: Listing(failures=[unreadable]))
    done = predict("photos")
    assert done.exit_code == 2
    assert done.stderr == "visionops: photos/b: unreadable: Permission denied\n"


def test_names_are_shown_without_what_a_terminal_would_obey(folder: Path) -> None:
    (folder / "photos" / "\x1b[31m.png").write_bytes(b"dog")
    (folder / "photos" / "\x1b[32m.png").write_bytes(b"junk")
    done = predict("photos")
    assert "\x1b" not in done.output
    assert r"\x1b[31m.png" in done.stdout
    assert r"\x1b[32m.png" in done.stderr
