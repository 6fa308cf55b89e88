"""Finds damage inside an image by its decoder's messages on standard error.

OpenCV ignores such damage and fills the hole with gray or black, so the messages of libjpeg and
libtiff are the only sign of it. Those of libtiff come through OpenCV's log, from the level WARNING
on.
"""

import os
import re
import sys

from visionops_assets.errors import CorruptMediaError

READ_BYTES = 1 << 16
DAMAGE = re.compile(
    # Messages of libjpeg's jerror.h. Many webcams pad their pictures: "extraneous bytes" harm
    # nothing.
    rb"Corrupt JPEG data: (?!\d+ extraneous)|Inconsistent progression sequence"
    # Any error of libtiff; of its warnings those of decoders that went on behind a hole.
    rb"|TIFF_Error "
    rb"|Fax\w+: (?:Premature EOL|Line length mismatch|Bad code word|Uncompressed data)"
    rb"|PackBitsDecode: (?:Discarding|Terminating)"
)


class StandardError:
    """Replaces this process's standard error; messages that nobody reads in time are lost."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        os.dup2(writer, sys.stderr.fileno())
        os.close(writer)

    def forget(self) -> None:
        """Drop all messages: they are of another file."""
        self._read()

    def check(self) -> None:
        """Check the messages since the last call.

        Raises:
            CorruptMediaError: an image is damaged.
        """
        if DAMAGE.search(self._read()):
            raise CorruptMediaError("The image is damaged inside. Upload it again.")

    def _read(self) -> bytes:
        try:
            return os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return b""
