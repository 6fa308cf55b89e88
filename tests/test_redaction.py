"""Fuzzes the one redaction: whatever surrounds a secret, it is not shown."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from visionops_assets.redaction import for_clients, masked, redacted, without_credentials

MARKER = "hunter2"
ANYTHING = st.text(max_size=20)
PLAIN = st.text(string.ascii_letters + string.digits + "._~!$*+-", max_size=12)
SCHEMES = st.sampled_from(["rtsp", "rtsps", "http", "https"])
NAMES = st.sampled_from(
    [
        "password",
        "passwd",
        "pwd",
        "pass",
        "secret",
        "token",
        "api_key",
        "apiKey",
        "access_key",
        "aws_secret_access_key",
        "client_secret",
        "auth",
        "signature",
        "PGPASSWORD",
    ]
)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://gate.example:554/stream/1", "rtsp://gate.example:554/stream/1"),
        ("rtsp://10.0.0.1/Streaming/Channels/101", "rtsp://10.0.0.1/Streaming/Channels/101"),
        ("rtsp://[fe80::1]:554/live.sdp", "rtsp://[fe80::1]:554/live.sdp"),
        ("rtsp://ann:pw@gate.example/1", "rtsp://ann:***@gate.example/1"),
        ("rtsp://ann:p@w/?#@gate.example/1", "rtsp://***"),
        ("rtsp://token@gate.example/1", "rtsp://***@gate.example/1"),
        ("http://gate.example/1?user=ann&pwd=pw", "http://gate.example/1?***"),
        ("http://gate.example/1?pwd=p@w", "http://***"),
        ("http://gate.example/1#pw", "http://gate.example/1?***"),
        ("rtsp://10.0.0.1/user=admin&password=secret&channel=1", "rtsp://10.0.0.1/***"),
        ("rtsp://10.0.0.1/user=admin_password=secret_channel=1", "rtsp://10.0.0.1/***"),
        ("http://gate.example/live/admin/secret/1.ts", "http://gate.example/***"),
        ("rtsp://user=admin_password=secret", "rtsp://***"),
        ("file:/videos/a?b@c.mp4", "file:/videos/a?b@c.mp4"),
        ("hunter2", "***"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert masked(address) == shown


@given(SCHEMES, st.text("abc", max_size=5), ANYTHING, ANYTHING)
@example("rtsp", "", "@", "")
@example("rtsp", "ann", "?@", "")
@example("rtsp", "a", "stream/", "/1")
def test_no_password_of_a_camera_is_ever_shown(
    scheme: str, user: str, before: str, after: str
) -> None:
    password = f"{before}{MARKER}{after}"
    for address in (
        f"{scheme}://{user}:{password}@gate.example/stream",
        f"{scheme}://gate.example/stream?password={password}",
        f"{scheme}://{user}:pw@gate.example/stream?password={password}#{password}",
        f"{scheme}://gate.example/user={user}&password={password}&channel=1",
        f"{scheme}://gate.example/user={user}_password={password}_channel=1.sdp?real_stream",
        f"{scheme}://gate.example/live/{user}/{password}/1",
    ):
        assert MARKER not in masked(address)
        assert masked(address).startswith(f"{scheme}://")


@given(NAMES, PLAIN, PLAIN, st.sampled_from(["{0}={1}", "{0}='{1}'", '"{0}": "{1}"', "{0}: {1}"]))
def test_a_value_named_like_a_secret_is_not_shown(
    name: str, before: str, after: str, form: str
) -> None:
    if form == "{0}: {1}":
        name = "password"
    said = form.format(name, f"{before}{MARKER}{after}")
    assert MARKER not in redacted(f"It failed ({said}): see the log, x=1")
    assert redacted(f"a {said} x=1").endswith(" x=1")


@given(SCHEMES | st.just("postgresql"), PLAIN, PLAIN, NAMES)
def test_no_password_in_an_address_within_text_is_shown(
    scheme: str, before: str, after: str, name: str
) -> None:
    password = f"{before}{MARKER}{after}"
    for rest in (f"ann:{password}@h:1/a", f"h/a?x={password}", f"h/{name}={password}&x=1"):
        for text in (f"at {scheme}://{rest} failed", f"'{scheme}://{rest}'", f"{scheme}://{rest}"):
            assert MARKER not in redacted(text)
            assert MARKER not in for_clients(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer abcdefgh12345", "Bearer ***"),
        (f"the key vo_abcdefgh_{43 * 'x'} is", "the key vo_abcdefgh_*** is"),
        ("host=db password=pw user=x", "host=db password=*** user=x"),
        ("The gate did not pass: 3 classes", "The gate did not pass: 3 classes"),
        ("The queue at 127.0.0.1:9092 does not answer.", None),
        ("See http://127.0.0.1:3000/runs/1a2b.", None),
    ],
)
def test_operators_read_all_but_secrets(text: str, shown: str | None) -> None:
    assert redacted(text) == (text if shown is None else shown)


@given(
    st.ip_addresses().filter(lambda address: str(address) != "::"),
    st.integers(10, 65535),
    st.text(string.ascii_lowercase, min_size=1),
)
def test_clients_read_no_address_and_no_path(address: object, port: int, word: str) -> None:
    bracketed = f"[{address}]" if ":" in str(address) else str(address)
    for place in (
        f"{address}",
        f"{bracketed}:{port}",
        f"{word}.internal:{port}",
        f"http://{bracketed}:{port}/{word}",
        f"postgresql://{word}@{word}/db",
        f"/srv/{word}/{word}",
        f"/io/opencv/modules/imgproc/src/{word}.cpp:{port}",
        f"src/{word}.py",
    ):
        assert for_clients(f"It failed at {place}.") == "It failed at ***."
        assert place not in for_clients(f'("{place}", x): failed')


def test_what_opencv_says_of_itself_is_not_for_clients() -> None:
    text = (
        "OpenCV(5.0.0) /io/opencv/modules/imgproc/src/resize.cpp:4208: error: (-215:Assertion "
        "failed) inv_scale_x > 0 in function 'resize'"
    )
    assert "/io" not in for_clients(text)
    assert ".cpp" not in for_clients(text)
    assert for_clients("Upload it again, as PNG or JPEG.") == "Upload it again, as PNG or JPEG."


@given(st.text(max_size=200))
def test_any_text_can_be_redacted_again_without_a_change(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once
    assert for_clients(for_clients(text)) == for_clients(text)


@pytest.mark.parametrize("repeated", ["x", "a.b-", "/", "a:", "password", "://a", "bearer ", "1."])
def test_long_text_takes_no_longer_per_character(repeated: str) -> None:
    """Holds that no expression tries each length from each position: that took minutes."""
    text = repeated * (20_000 // len(repeated))
    assert len(for_clients(text)) <= len(text) + 20_000


def test_an_address_without_credentials_can_still_be_used() -> None:
    assert without_credentials("http://ann:p@h:5000/a@b") == "http://h:5000/a@b"
    assert without_credentials("127.0.0.1:8001") == "127.0.0.1:8001"
    assert not re.search("ann|pw", without_credentials("https://ann:pw@h"))
