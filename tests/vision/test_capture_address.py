from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from visionops_assets.errors import InvalidRequestError
from visionops_assets.vision.capture.address import (
    Transport,
    checked_address,
    masked,
    transport_of,
)

MARKER = "hunter2"
ANYTHING = st.text(max_size=20)


@pytest.mark.parametrize(
    ("address", "transport"),
    [
        ("rtsp://10.0.0.7/stream", Transport.RTSP),
        ("RTSPS://ann:pw@gate.example:322/1", Transport.RTSP),
        ("http://gate.example/live.m3u8", Transport.HTTP),
        ("https://gate.example/mjpeg?token=1", Transport.HTTP),
    ],
)
def test_an_address_of_a_camera_is_kept_as_it_is(address: str, transport: Transport) -> None:
    assert checked_address(address) == address
    assert transport_of(address) is transport


def test_a_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = tmp_path / "gate.mp4"
    video.touch()
    monkeypatch.chdir(tmp_path)
    for address in ("gate.mp4", "file:gate.mp4", f"file:{video}", f"file://{video}", str(video)):
        assert checked_address(address) == f"file:{video}"
    assert transport_of(f"file:{video}") is Transport.FILE


@pytest.mark.parametrize(
    "address",
    [
        "ftp://gate.example/1",
        "concat:a.ts|b.ts",
        "data:text/plain,1",
        "udp://239.0.0.1:1234",
        "rtsp:///1",
        "rtsp://ann:hunter2/pw@gate.example/1",
        "http://gate.example:0/",
        "http://gate.example\n/",
        "https://gate.example/" + 2_000 * "a",
        "no-such-file.mp4",
        "file:/",
        "",
    ],
)
def test_anything_else_is_refused_without_showing_a_password(address: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        checked_address(address)
    assert MARKER not in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://gate.example:554/stream/1", "rtsp://gate.example:554/stream/1"),
        ("rtsp://ann:pw@gate.example/1", "rtsp://ann:***@gate.example/1"),
        ("rtsp://ann:p@w/?#@gate.example/1", "rtsp://***"),
        ("rtsp://token@gate.example/1", "rtsp://***@gate.example/1"),
        ("http://gate.example/1?user=ann&pwd=pw", "http://gate.example/1?***"),
        ("http://gate.example/1?pwd=p@w", "http://***"),
        ("http://gate.example/1#pw", "http://gate.example/1?***"),
        ("file:/videos/a?b@c.mp4", "file:/videos/a?b@c.mp4"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert masked(address) == shown


@given(
    st.sampled_from(["rtsp", "rtsps", "http", "https"]),
    st.text("abc", max_size=5),
    ANYTHING,
    ANYTHING,
)
@example("rtsp", "", "@", "")
@example("rtsp", "ann", "?@", "")
def test_no_password_is_ever_shown(scheme: str, user: str, before: str, after: str) -> None:
    password = f"{before}{MARKER}{after}"
    for address in (
        f"{scheme}://{user}:{password}@gate.example/stream",
        f"{scheme}://gate.example/stream?password={password}",
        f"{scheme}://{user}:pw@gate.example/stream?password={password}#{password}",
    ):
        assert MARKER not in masked(address)
        assert masked(address).startswith(f"{scheme}://")
