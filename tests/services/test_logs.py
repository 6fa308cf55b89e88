"""Lines of logs: JSON, with the request's id, and without secrets wherever they stand."""

import json
import logging
from typing import Any

import pytest

from visionops_assets.services.logs import JsonLines, configure_logging, request_id

SECRET = "postgresql://u:hunter2@db/x"


def line_of(message: str = "hello", **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, message, None, None)
    record.created = 0.25
    vars(record).update(more)
    line: dict[str, Any] = json.loads(JsonLines().format(record))
    return line


def test_a_line_says_when_how_bad_and_where() -> None:
    assert line_of() == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "warning",
        "logger": "a.b",
        "message": "hello",
    }


def test_fields_and_the_request_are_added() -> None:
    token = request_id.set("r-1")
    try:
        line = line_of(fields={"count": 3, "what": "media"})
    finally:
        request_id.reset(token)
    assert (line["request_id"], line["count"], line["what"]) == ("r-1", 3, "media")


def test_no_part_of_a_line_tells_a_secret() -> None:
    error = ValueError(SECRET)
    traceback = (ValueError, error, None)
    line = line_of(SECRET, fields={"url": SECRET, "n": 1}, exc_info=traceback)
    assert "hunter2" not in json.dumps(line)
    assert {"message", "url", "traceback"} < line.keys()
    assert "ValueError" in line["traceback"]


def test_chatty_libraries_are_silenced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, kafka, httpx = (logging.getLogger(name) for name in (None, "kafka", "httpx"))
    for logger in (root, kafka, httpx):
        monkeypatch.setattr(logger, "level", logging.NOTSET)
    monkeypatch.setattr(root, "handlers", [])
    try:
        configure_logging()
        logging.getLogger("visionops_assets").info("ours")
        kafka.error("a reconnect")
        httpx.info("a request")
        httpx.warning("a warning")
        lines = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    finally:
        kafka.setLevel(logging.NOTSET)
        httpx.setLevel(logging.NOTSET)
    assert lines == ["ours", "a warning"]
