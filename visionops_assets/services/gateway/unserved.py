"""Why no model serves, for the clients that ask for one: from the catalog, by the common rule."""

import asyncio
import logging
import time

from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.next_steps import why_nothing_serves
from visionops_assets.catalog.standing import model_standing
from visionops_assets.errors import NoModelServedError
from visionops_assets.settings import Settings

KEPT_S = 5.0
"""For so long an answer is given again: requests that cannot be answered are to cost little."""
UNKNOWN = "No model serves now, and the catalog does not say why. Try again soon."

_log = logging.getLogger(__name__)


class Unserved:
    """Says why no version of the model serves, and what to do."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._said = UNKNOWN
        self._asked_at_s: float | None = None
        self._asking = asyncio.Lock()

    async def error(self) -> NoModelServedError:
        """Return the error for a client. It names no address."""
        async with self._asking:
            if self._asked_at_s is None or time.monotonic() > self._asked_at_s + KEPT_S:
                self._said = await run_in_threadpool(self._ask)
                self._asked_at_s = time.monotonic()
        return NoModelServedError(self._said, public=True)

    def _ask(self) -> str:
        try:
            with self._catalog.begin() as session:
                standing = model_standing(session, self._settings.model_name, self._settings)
        except Exception:  # Whatever happens here, the client is to hear that no model serves.
            _log.exception("Why no model serves could not be asked.")
            return UNKNOWN
        return why_nothing_serves(standing)
