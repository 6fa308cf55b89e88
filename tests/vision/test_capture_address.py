from pathlib import Path

import pytest

from visionops_assets.errors import InvalidRequestError
from visionops_assets.vision.capture.address import (
    Transport,
    checked_address,
    transport_of,
)

MARKER = "hunter2"
LONG = "https://gate.example/".ljust(2_000, "a")


@pytest.mark.parametrize(
    ("address", "transport"),
    [
        ("rtsp://10.0.0.7/stream", Transport.RTSP),
        ("RTSPS://ann:pw@gate.example:322/1", Transport.RTSP),
        ("http://gate.example/live.m3u8", Transport.HTTP),
        ("https://gate.example/mjpeg?token=1", Transport.HTTP),
        ("http://gate.example:1/", Transport.HTTP),
        (LONG, Transport.HTTP),
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
    ("address", "why"),
    [
        ("ftp://gate.example/1", "cannot be read by ftp"),
        ("concat:a.ts|b.ts", "cannot be read by concat"),
        ("data:text/plain,1", "cannot be read by data"),
        ("udp://239.0.0.1:1234", "cannot be read by udp"),
        ("rtsp:///1", "names no host"),
        ("rtsp://ann:hunter2/pw@gate.example/1", "names no host"),
        ("http://gate.example:0/", "names no host"),
        ("http://gate.example\n/", "all printable"),
        (LONG + "a", "at most 2,000 characters"),
        ("no-such-file.mp4", "There is no file"),
        ("file:/", "There is no file /"),
        ("", "There is no file"),
    ],
)
def test_anything_else_is_refused_with_the_reason_and_no_password(address: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as refusal:
        checked_address(address)
    assert MARKER not in str(refusal.value)
