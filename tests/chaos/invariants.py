"""What must hold once everything came to rest, whatever was killed. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.records import Acknowledged, MediaRow, State
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.contracts import MediaStatus

AT_REST = frozenset({MediaStatus.PROCESSED, MediaStatus.QUARANTINED})


class Harm(StrEnum):
    """What a violation means."""

    LOST = "lost"
    DOUBLED = "doubled"
    ORPHANED = "orphaned"
    WRONG = "wrong"


@dataclass(frozen=True)
class Violation:
    """One invariant that does not hold, of what, and the evidence."""

    harm: Harm
    subject: str
    evidence: str


def check_all(answers: Sequence[Acknowledged], state: State) -> list[Violation]:
    """Check every invariant; an empty list means that all hold."""
    return [
        *acknowledged_are_processed(answers, state),
        *answers_agree(answers),
        *media_are_unique(state),
        *events_are_consumed_once(state),
        *frames_are_whole(state),
        *rows_have_their_objects(state),
        *queue_is_complete(state),
        *nothing_is_orphaned(state),
    ]


def acknowledged_are_processed(
    answers: Iterable[Acknowledged], state: State
) -> Iterator[Violation]:
    """Every acknowledged file is there, with its bytes, and came to its end."""
    rows = {row.media_id: row for row in state.media}
    for answer in {answer.media_id: answer for answer in answers}.values():
        row = rows.get(answer.media_id)
        if row is None:
            yield Violation(Harm.LOST, str(answer.media_id), "acknowledged, but there is no row")
            continue
        expected = MediaStatus.PROCESSED if answer.is_decodable else MediaStatus.QUARANTINED
        if row.status is not expected:
            evidence = f"acknowledged, but {row.status}, not {expected}"
            yield Violation(Harm.LOST, str(answer.media_id), evidence)
        if (row.source, row.sha256) != (answer.source, answer.sha256):
            evidence = f"sent {answer.source} {answer.sha256}, kept {row.source} {row.sha256}"
            yield Violation(Harm.LOST, str(answer.media_id), evidence)


def answers_agree(answers: Iterable[Acknowledged]) -> Iterator[Violation]:
    """Equal bytes of a source are one media file; an Idempotency-Key has one answer."""
    ids_by_content = defaultdict(set)
    answers_by_key = defaultdict(set)
    for answer in answers:
        ids_by_content[answer.source, answer.sha256].add(str(answer.media_id))
        if answer.idempotency_key:
            answers_by_key[answer.idempotency_key].add(answer.answer)
    for (source, sha256), ids in ids_by_content.items():
        if len(ids) > 1:
            yield Violation(Harm.DOUBLED, f"{source} {sha256}", f"acknowledged as {sorted(ids)}")
    for key, said in answers_by_key.items():
        if len(said) > 1:
            yield Violation(Harm.DOUBLED, key, f"answered differently: {sorted(said)}")


def media_are_unique(state: State) -> Iterator[Violation]:
    """No source has two media files of equal bytes."""
    counts = Counter((row.source, row.sha256) for row in _stored(state))
    for (source, sha256), count in counts.items():
        if count > 1:
            yield Violation(Harm.DOUBLED, f"{source} {sha256}", f"{count} rows")


def events_are_consumed_once(state: State) -> Iterator[Violation]:
    """Each announcement of a media file was taken from the queue once, from where it lies."""
    taken = defaultdict(list)
    lies_at = dict(state.queued_events)
    for event in state.consumed:
        taken[event.media_id].append(event.event_id)
        if lies_at.get(event.place) != event.event_id:
            evidence = f"taken from {event.place}, where {lies_at.get(event.place)} lies"
            yield Violation(Harm.LOST, str(event.event_id), evidence)
    for row in _stored(state):
        announced = [event_id_of(row.media_id, n) for n in range(1, row.announcement + 1)]
        if sorted(taken[row.media_id]) != sorted(announced):
            harm = Harm.DOUBLED if len(taken[row.media_id]) > len(announced) else Harm.LOST
            evidence = f"announced as {_text(announced)}, taken as {_text(taken[row.media_id])}"
            yield Violation(harm, str(row.media_id), evidence)


def frames_are_whole(state: State) -> Iterator[Violation]:
    """A processed image has one frame a spec, a quarantined one none; every frame decodes."""
    counts = Counter((frame.media_id, frame.spec_id) for frame in state.frames)
    counts_by_media = Counter(media_id for media_id, _ in counts.elements())
    for (media_id, spec_id), count in counts.items():
        if count > 1:
            yield Violation(Harm.DOUBLED, str(media_id), f"{count} frames of {spec_id}")
    for row in state.media:
        has_frames = counts_by_media[row.media_id] > 0
        if has_frames is not (row.status is MediaStatus.PROCESSED):
            evidence = f"{row.status} with {counts_by_media[row.media_id]} frames"
            yield Violation(Harm.LOST, str(row.media_id), evidence)
    for frame in state.frames:
        if not frame.decodes:
            evidence = f"its frame of {frame.spec_id} is not in its shard, or does not decode"
            yield Violation(Harm.LOST, str(frame.media_id), evidence)


def rows_have_their_objects(state: State) -> Iterator[Violation]:
    """A stored file's object is there and has the hash of the row."""
    sha256_by_key = dict(state.sha256_by_key)
    for row in _stored(state):
        found = sha256_by_key.get(row.object_key)
        if found != row.sha256:
            evidence = f"the row says {row.sha256}, the object is {found or 'not there'}"
            yield Violation(Harm.LOST, str(row.media_id), evidence)


def queue_is_complete(state: State) -> Iterator[Violation]:
    """No event is owed, and each that was published lies in the queue."""
    for event_id in state.owed_events:
        yield Violation(Harm.LOST, str(event_id), "still in the outbox, not published")
    in_queue = {event_id for _, event_id in state.queued_events}
    for event_id in state.published_events - in_queue:
        yield Violation(Harm.LOST, str(event_id), "published, but not in the queue")
    if state.dead_letters:
        yield Violation(Harm.WRONG, "dead letters", f"{state.dead_letters} where all are good")


def nothing_is_orphaned(state: State) -> Iterator[Violation]:
    """The sweep left no intent, no object without a row, and no part without an upload."""
    known = {row.object_key for row in state.media}
    for key, _ in state.sha256_by_key:
        if key not in known:
            yield Violation(Harm.ORPHANED, key, "an object without a row")
    for row in state.media:
        if row.status is MediaStatus.RECEIVING:
            yield Violation(Harm.ORPHANED, str(row.media_id), "still receiving")
    open_uploads = {str(upload_id) for upload_id in state.open_uploads}
    for key in state.part_keys:
        if key.split("/")[1] not in open_uploads:
            yield Violation(Harm.ORPHANED, key, "a part without an upload")


def _stored(state: State) -> list[MediaRow]:
    return [row for row in state.media if row.status is not MediaStatus.RECEIVING]


def _text(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "nothing"
