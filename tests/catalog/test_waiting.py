from datetime import UTC, datetime

from visionops_assets.catalog.labelling import BatchProgress
from visionops_assets.catalog.waiting import what_waits
from visionops_assets.contracts import MediaStatus

BATCH = BatchProgress(5, "m", 1, 2, datetime(2026, 1, 1, tzinfo=UTC), None, items=50, labelled=7)


def test_nothing_is_said_where_nothing_waits() -> None:
    assert what_waits([], dict.fromkeys(MediaStatus, 0), []) == []
    done = {MediaStatus.PROCESSED: 9, MediaStatus.RECEIVING: 1}
    assert what_waits([], done, []) == []


def test_the_most_urgent_comes_first_and_each_says_what_to_do() -> None:
    media = {MediaStatus.QUARANTINED: 2, MediaStatus.STORED: 1_000, MediaStatus.QUEUED: 1}
    assert what_waits(["DeadLetters", "TritonDown"], media, [BATCH]) == [
        "Alerts that fire: DeadLetters, TritonDown. The runbooks say what to do.",
        "Files in quarantine: 2. See `visionops quarantine ls`.",
        "Labelling batch 5 has 7 of 50 labels: `visionops labelling-batches show 5 --out DIR`.",
        "Files that wait for their frames: 1,001. Nothing is to be done.",
    ]
