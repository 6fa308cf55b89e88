"""Finds damage inside a JPEG by libjpeg's messages on standard error.

OpenCV ignores the damage and fills the hole with gray, so the messages are the only sign of it.
"""

import os
import re
import sys

from visionops_assets.errors import CorruptMediaError

READ_BYTES = 1 << 16
# Messages of libjpeg's jerror.h. Many webcams pad their pictures: "extraneous bytes" harm nothing.
DAMAGE = re.compile(rb"Corrupt JPEG data: (?!\d+ extraneous)|Inconsistent progression sequence")


class StandardError:
    """Replaces this process's standard error; messages that nobody reads in time are lost."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        os.dup2(writer, sys.stderr.fileno())
        os.close(writer)

    def check(self) -> None:
        """Check the messages since the last call.

        Raises:
            CorruptMediaError: a JPEG is damaged.
        """
        try:
            said = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return
        if DAMAGE.search(said):
            raise CorruptMediaError("The JPEG is damaged inside. Upload it again.")
