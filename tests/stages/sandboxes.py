"""A stand-in for the sandbox: it opens and closes, and says nothing of its own."""

from typing import Self


class OpenSandbox:
    """Takes any limits. A test says how it decodes."""

    def __init__(self, **_limits: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
