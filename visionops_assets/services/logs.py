"""Logs of the services: one JSON object per line, on standard output, with the request's id."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from visionops_assets.redaction import redacted

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; `extra={"fields": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line break."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= {
            name: redacted(value) if isinstance(value, str) else value
            for name, value in getattr(record, "fields", {}).items()
        }
        if record.exc_info:
            line["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def configure_logging() -> None:
    """Send every logger of this process to standard output. Call it from `main` only."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    # Each reconnect to a broker that is down would log many lines; ours say it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Each request of a client would log a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
