"""Which files a decoder gets at once, and in what order their frames come."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.sandboxes import OpenSandbox
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.contracts.preprocessing import BlurMask
from visionops_assets.errors import DecoderCrashedError, MediaError, MissingMediaError
from visionops_assets.settings import Settings
from visionops_assets.stages.frames import decoding
from visionops_assets.stages.frames.decoding import Decoders, Group, grouped
from visionops_assets.stages.frames.fetching import Fetched, StoredFile
from visionops_assets.vision.sandbox.decoder import DecodedFile, EncodedFrame

SPEC = PreprocessingSpec(filters=(BlurMask(sources=("gate",)),))
SMALL = decoding.SMALL_BYTES


def fetched(
    number: int,
    size: int = 1,
    kind: str = "image",
    source: str = "gate",
    error: MediaError | None = None,
) -> Fetched:
    media_id = str(UUID(int=number))
    return Fetched(StoredFile(media_id, "key", "0", size, kind, source), Path(media_id), error)


FILES = st.lists(
    st.builds(
        fetched,
        st.integers(0, 9),
        st.sampled_from([1, SMALL, SMALL + 1]),
        st.sampled_from(["image", "video"]),
        st.sampled_from(["gate", "door"]),
    ),
    max_size=60,
)


@given(FILES)
def test_groups_are_of_small_images_with_the_same_filters_and_keep_the_order(
    files: list[Fetched],
) -> None:
    groups = list(grouped(files, [SPEC]))
    assert [each for group in groups for each in group.files] == files
    for group in groups:
        assert 1 <= len(group.files) <= decoding.GROUP_FILES
        assert {SPEC.for_source(each.file.source) for each in group.files} == set(group.specs)
        if len(group.files) > 1:
            assert {each.file.kind for each in group.files} == {"image"}
            assert max(each.file.bytes for each in group.files) <= SMALL


def test_small_images_of_one_source_fill_groups() -> None:
    sizes = [len(group.files) for group in grouped([fetched(i) for i in range(40)], [SPEC])]
    assert sizes == [16, 16, 8]


class Sandbox(OpenSandbox):
    """Stands in for the decoder: a file is one frame, of its own name; some bring it down."""

    crashes: dict[str, int] = {}  # noqa: RUF012
    asked: list[list[str]] = []  # noqa: RUF012

    def decode_each(
        self, paths: Sequence[Path], _kind: MediaKind, _specs: Sequence[PreprocessingSpec]
    ) -> list[DecodedFile]:
        self.asked.append([path.name for path in paths])
        return [self._decode(path.name) for path in paths]

    def _decode(self, name: str) -> DecodedFile:
        if self.crashes.get(name, 0):
            self.crashes[name] -= 1
            return DecodedFile([], DecoderCrashedError("died"), 9.0)
        frame = EncodedFrame(0, 0.0, name.encode(), "0" * 16, (), b"")
        return DecodedFile([frame], None, 1.5, (640, 480))


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch) -> type[Sandbox]:
    monkeypatch.setattr(decoding, "DecoderSandbox", Sandbox)
    monkeypatch.setattr(decoding, "usable_cores", lambda: 3)
    monkeypatch.setattr(Sandbox, "crashes", {})
    monkeypatch.setattr(Sandbox, "asked", [])
    return Sandbox


def decode(groups: Iterator[Group], files: int) -> list[tuple[int, int, str | None]]:
    with Decoders(Settings(), files) as decoders:
        return [
            (result.media_id.int, len(frames), result.error.code if result.error else None)
            for result, frames in decoders.decode(groups)
        ]


def test_results_come_in_the_order_of_the_files() -> None:
    files = [fetched(i, size=SMALL * (1 + i % 3)) for i in range(50)]
    assert decode(grouped(files, [SPEC]), 50) == [(i, 1, None) for i in range(50)]


def test_the_size_of_a_picture_is_noted_with_its_result() -> None:
    with Decoders(Settings(), 1) as decoders:
        [(result, _)] = decoders.decode(grouped([fetched(1)], [SPEC]))
    assert (result.row["width_px"], result.row["height_px"]) == (640, 480)


def test_one_bad_file_of_a_group_is_alone(sandbox: type[Sandbox]) -> None:
    once, twice = str(UUID(int=2)), str(UUID(int=4))
    sandbox.crashes |= {once: 1, twice: 2}
    gone = fetched(3, error=MissingMediaError("gone"))
    files = [gone if number == 3 else fetched(number) for number in range(6)]
    codes = {3: "missing", 4: "decoder_crashed"}
    expected = [(i, int(i not in codes), codes.get(i)) for i in range(6)]
    assert decode(grouped(files, [SPEC]), 6) == expected
    assert sandbox.asked == [
        [str(UUID(int=i)) for i in (0, 1, 2, 4, 5)],
        [once],
        [twice],
    ]


def test_files_are_read_ahead_only_as_far_as_the_disk_allows() -> None:
    read: list[int] = []

    def large() -> Iterator[Fetched]:
        for number in range(8):
            read.append(number)
            yield fetched(number, size=decoding.HELD_BYTES // 2, kind="video")

    ahead = []
    with Decoders(Settings(), 8) as decoders:
        for number, _ in enumerate(decoders.decode(grouped(large(), [SPEC]))):
            ahead.append(len(read) - number)
    assert len(ahead) == 8
    assert max(ahead) == 3


def test_a_decoder_that_does_not_start_ends_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[DecodedFile]:
        raise RuntimeError("does not start")

    monkeypatch.setattr(Sandbox, "decode_each", fail)
    with pytest.raises(RuntimeError, match="does not start"):
        decode(grouped([fetched(i) for i in range(99)], [SPEC]), 99)
