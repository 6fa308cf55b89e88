"""Many annotations at once, on a real catalog: the files they name, and which are news."""

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import event, func, insert, select, text
from sqlalchemy.orm import Session

from tests.declared import declaration
from tests.integration.ingest.test_labels import file_with_a_frame
from visionops_assets.catalog.annotation_batches import (
    FoundMedia,
    Reference,
    Said,
    annotate_many,
    find_media,
)
from visionops_assets.catalog.annotation_lists import counting_annotations
from visionops_assets.catalog.annotations import Place, annotate, take_back
from visionops_assets.catalog.datasets import count_by_label
from visionops_assets.catalog.processing import Processed, commit_frames
from visionops_assets.catalog.schema import AnnotationRow, Frame, Media
from visionops_assets.contracts import MediaKind, MediaStatus

ONE = declaration("one", frames={"size_px": 21})
CAT, DOG = {"label": "cat"}, {"label": "dog"}
WHOLE: tuple[None, None] = (None, None)


def media(
    session: Session, filename: str | None, source: str = "gate", sha256: str | None = None
) -> UUID:
    key = uuid4()
    session.add(
        Media(
            media_id=key,
            status=MediaStatus.STORED,
            source=source,
            filename=filename,
            object_key=str(key),
            lease_expires_at=func.now(),
            captured_at=func.now(),
            kind=MediaKind.IMAGE,
            sha256=sha256 or uuid4().hex + uuid4().hex,
        )
    )
    session.flush()
    return key


def found(session: Session, *references: Reference, source: str | None = None) -> list[object]:
    return [
        each.media_id if isinstance(each, FoundMedia) else (each.code, str(each))
        for each in find_media(session, references, source)
    ]


def test_a_file_is_found_by_its_id_its_hash_or_its_name(session: Session) -> None:
    tag, content = uuid4().hex, uuid4().hex + uuid4().hex
    first = media(session, f"{tag}/a/1.png", f"s{tag}", content)
    second = media(session, f"{tag}/b/1.png", f"s{tag}")
    # Shares less of the name than the others do.
    media(session, "1.png", f"s{tag}")
    elsewhere = media(session, f"{tag}/é.png", f"t{tag}", content)
    by_name = [Reference(filename=f"{tag}/{name}") for name in ("a/1.png", "b/1.png")]
    assert found(session, Reference(media_id=first), *by_name) == [first, first, second]
    assert found(session, Reference(filename=f"copies/{tag}/b/1.png")) == [second]
    # The name is composed as it is when a file is stored; the hash goes before the name.
    decomposed = Reference(filename=f"{tag}/e\N{COMBINING ACUTE ACCENT}.png")
    assert found(session, decomposed) == [elsewhere]
    hashed = Reference(sha256=content, filename=f"{tag}/b/1.png")
    assert found(session, hashed, source=f"t{tag}") == [elsewhere]
    unhashed = Reference(sha256=64 * "0", filename=f"{tag}/b/1.png")
    assert found(session, unhashed) == [second]


def test_an_unknown_and_an_ambiguous_name_are_told(session: Session) -> None:
    tag = uuid4().hex
    for folder, source in (("a", "s"), ("b", "s"), ("c", "t")):
        media(session, f"{folder}/{tag}.png", source)
    references = [
        Reference(filename=f"{tag}.png"),
        Reference(filename=f"x{tag}.png"),
        Reference(media_id=UUID(int=7)),
        Reference(sha256=64 * "0"),
    ]
    several, *unknown = found(session, *references)
    assert several == (
        "ambiguous_media",
        f"Files of several sources have the name '{tag}.png': s, t. Name the source.",
    )
    assert [str(each).partition(",")[0] for each in unknown] == 3 * ["('not_found'"]
    of_source = found(session, references[0], source="s")
    assert "2 files of the source s have the name" in str(of_source)
    one = found(session, references[0], source="t")
    assert isinstance(one[0], UUID)


def test_the_same_again_changes_nothing_even_where_parts_overrule_the_whole(
    session: Session,
) -> None:
    key = media(session, "v.mp4")
    said: list[Said] = [(*WHOLE, CAT), (0.0, 1.0, DOG), (2.0, 3.5, DOG), (100.0, 300.0, CAT)]
    assert annotate_many(session, "one", {key: said}, "ann") == 4
    assert annotate_many(session, "one", {key: said}, "bob") == 0
    assert annotate_many(session, "one", {key: said[1:]}, "bob") == 0
    # What was said of all of it, again, would overrule its parts.
    assert annotate_many(session, "one", {key: said[:1]}, "bob") == 1
    assert annotate_many(session, "one", {key: said}, "bob") == 3
    assert annotate_many(session, "other", {key: said[:1]}, "bob") == 1


def test_what_stands_no_more_is_said_again(session: Session) -> None:
    key = media(session, "1.png")
    assert annotate_many(session, "one", {key: [(*WHOLE, CAT)]}, "ann") == 1
    take_back(session, Place("one", key), "ann")
    assert annotate_many(session, "one", {key: [(*WHOLE, CAT)]}, "ann") == 1
    annotate(session, Place("one", key), DOG, "bob")
    assert annotate_many(session, "one", {key: [(*WHOLE, CAT)]}, "ann") == 1


def test_a_model_reads_what_counts(session: Session) -> None:
    source = uuid4().hex
    key, other = media(session, "v.mp4", source), media(session, "w.mp4", source)
    annotate_many(session, "one", {key: [(0.0, 1.0, DOG), (*WHOLE, CAT), (2.0, 3.0, DOG)]}, "ann")
    session.add(AnnotationRow(media_id=other, payload=DOG, origin="upload"))
    session.add(AnnotationRow(media_id=other, payload={"labels": ["cat"]}, origin="upload"))
    annotate_many(session, "other", {other: [(*WHOLE, CAT)]}, "ann")
    said, after = [], None
    for _ in range(1 + session.scalar(select(func.count()).select_from(Media))):  # type: ignore[operator]
        page, after = counting_annotations(session, ONE, source, after, files=1)
        said += [(each.filename, each.start_s, each.payload) for each in page]
        if after is None:
            break
    assert sorted(said, key=str) == [
        ("v.mp4", 2.0, DOG),
        ("v.mp4", None, CAT),
        ("w.mp4", None, DOG),
    ]
    assert counting_annotations(session, ONE, "nowhere") == ([], None)


def test_the_size_of_a_picture_is_told_once_it_was_processed(session: Session) -> None:
    source = uuid4().hex
    key = file_with_a_frame(session, source)
    annotate(session, Place("one", key), CAT, "ann")
    [given], _ = counting_annotations(session, ONE, source, files=10**6)
    assert given.picture_px is None
    batch = session.scalars(select(Frame.batch_key).where(Frame.media_id == key)).one()
    processed = Processed(key, 1, None, 1.0, "d", (640, 480))
    commit_frames(session, batch, ONE.frames, [], [processed])
    [given], _ = counting_annotations(session, ONE, source, files=10**6)
    assert given.picture_px == (640, 480)


def test_equal_labels_with_different_boxes_are_counted_together(session: Session) -> None:
    box = {"label": "cat", "x": 0, "y": 0, "width": 1, "height": 1}
    keys = [file_with_a_frame(session), file_with_a_frame(session)]
    said: list[Said] = [(*WHOLE, CAT | {"boxes": [box]}), (*WHOLE, CAT)]
    for key, each in zip(keys, said, strict=True):
        annotate_many(session, "one", {key: [each]}, "ann")
    assert count_by_label(session, ONE) == {"cat": 2}


def test_ten_thousand_take_seconds(session: Session) -> None:
    rows: list[dict[str, Any]] = [
        {
            "media_id": uuid4(),
            "status": MediaStatus.STORED,
            "source": "many",
            "filename": f"{number}.png",
            "object_key": f"many/{number}",
            "lease_expires_at": func.now(),
            "captured_at": func.now(),
            "sha256": f"{number:064x}",
        }
        for number in range(10_000)
    ]
    session.execute(insert(Media), [{**row, **_now(session)} for row in rows])
    session.execute(text("ANALYZE media"))
    hashed = [Reference(sha256=rows[0]["sha256"]), Reference(filename=rows[1]["filename"])]
    assert plans_of(session, lambda: find_media(session, hashed)) == {
        "ix_media_sha256",
        "ix_media_last_name",
    }
    started_s = time.monotonic()
    for again in (False, True):
        for first in range(0, len(rows), 1000):
            batch = rows[first : first + 1000]
            references = [Reference(filename=row["filename"]) for row in batch]
            keys = [each.media_id for each in find_media(session, references, "many")]  # type: ignore[union-attr]
            said: dict[UUID, list[Said]] = {key: [(*WHOLE, CAT)] for key in keys}
            assert annotate_many(session, "one", said, "ann") == (0 if again else 1000)
    assert time.monotonic() - started_s < 30


def plans_of(session: Session, ask: Callable[[], object]) -> set[str]:
    """Return the indexes by which the statements of a question find rows; none reads a table."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(connection, "before_cursor_execute", note)
    indexes = set()
    for statement, parameters in asked:
        lines = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
        assert not any("Seq Scan" in line for line in lines), lines
        indexes |= {name for line in lines for name in re.findall(r"\b(?:ix|uq|pk)_\w+", line)}
    return indexes


def _now(session: Session) -> dict[str, Any]:
    moment = session.scalar(select(func.now()))
    return {"lease_expires_at": moment, "captured_at": moment}
