"""Says why no model serves, to clients that ask for a prediction: by the catalog, and one rule."""

import asyncio
import logging
import time

from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.next_steps import why_nothing_serves
from visionops_assets.catalog.standing import model_standing
from visionops_assets.errors import NoModelServedError
from visionops_assets.models import ModelDeclaration

KEPT_S = 5.0
"""An answer is repeated for this time: requests without an answer must cost little."""
UNKNOWN = "No model serves now, and the catalog does not say why. Try again soon."

_log = logging.getLogger(__name__)


class Unserved:
    """Says why no version of the model serves, and what to do."""

    def __init__(self, catalog: Catalog, model: ModelDeclaration) -> None:
        self._catalog = catalog
        self._model = model
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
                standing = model_standing(session, self._model)
        except Exception:  # After any error here the client is still told that no model serves.
            _log.exception("Why no model serves could not be asked.")
            return UNKNOWN
        return why_nothing_serves(standing)
