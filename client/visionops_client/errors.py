"""The errors of clients. A message says what was wrong and what to do, and its code is stable."""

from typing import ClassVar


class VisionOpsError(Exception):
    """Base of every error; `str(error)` is the message for a user.

    Clients read a failure's message only if it is `public`: it names no server or path of ours.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, *args: object, public: bool = False) -> None:
        super().__init__(*args)
        self.public = public


class SettingsError(VisionOpsError):
    """A setting is missing or has a value that cannot be used."""

    code = "invalid_settings"


class ServerUnreachableError(VisionOpsError):
    """A server did not answer at its address: it is down, or the address is wrong."""

    code = "server_unreachable"


class ContentChangedError(VisionOpsError):
    """A file changed while it was being sent, so what was sent of it is of no use."""

    code = "content_changed"


class RefusedError(VisionOpsError):
    """A service refused a request for good: `reason` and `detail` are those of its problem."""

    code = "refused"

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.status, self.reason, self.detail = status, reason, detail
