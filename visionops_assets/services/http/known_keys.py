"""The API keys that a service knows: read from the catalog, and kept for a few seconds."""

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from limits import RateLimitItem

from visionops_assets.catalog import keys
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Scope
from visionops_assets.errors import ServerUnreachableError

QUERY_TIMEOUT_S = 2.0
FRESH_S = 3.0
"""With the query's time, a revoked key is refused after 5 s at most."""
KEPT_WITHOUT_CATALOG_S = 900.0
"""While the catalog does not answer, a key that was valid stays so for this time."""
MAX_REMEMBERED = 10_000
MAX_QUERIES = 100


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that is in the catalog and not revoked; it may have expired since."""

    prefix: str
    name: str
    scopes: frozenset[Scope]
    rate_limit: RateLimitItem
    expires_at: datetime | None
    secret_sha256: str = field(repr=False)

    def is_expired(self) -> bool:
        """Say whether it has expired."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The catalog's answer about one prefix, its time (monotonic clock), and its end."""

    key: KnownKey | None
    given_at_s: float
    fresh_until_s: float


class KnownKeys:
    """The catalog's keys by prefix. A key that does not exist is remembered too."""

    def __init__(self, catalog: Catalog, default_rate_limit: RateLimitItem) -> None:
        self._catalog = catalog
        self._default_rate_limit = default_rate_limit
        # Kept apart, so that guesses cannot crowd out the keys in use.
        self._present: dict[str, _Answer] = {}
        self._absent: dict[str, _Answer] = {}
        self._queries: dict[str, Future[KnownKey | None]] = {}
        # Threads of their own: the event loop must not wait, and handlers need the other threads.
        self._threads = ThreadPoolExecutor(2, "api-keys")

    def remembers(self, prefix: str) -> bool:
        """Say whether the key is known: the catalog need not be asked, or it had the key before."""
        absent = self._absent.get(prefix)
        is_fresh = absent is not None and time.monotonic() < absent.fresh_until_s
        return is_fresh or prefix in self._present

    async def find(self, prefix: str) -> KnownKey | None:
        """Return a key that is not revoked.

        Raises:
            ServerUnreachableError: the catalog does not answer, and did not lately.
        """
        answer = self._present.get(prefix) or self._absent.get(prefix)
        if answer is not None and time.monotonic() < answer.fresh_until_s:
            return answer.key
        try:
            key = await self._ask(prefix)
        except (ServerUnreachableError, TimeoutError) as error:
            return self._go_on_without_catalog(prefix, error)
        now_s = time.monotonic()
        self._remember(prefix, _Answer(key, now_s, now_s + FRESH_S))
        return key

    async def _ask(self, prefix: str) -> KnownKey | None:
        """Query the catalog; requests that come meanwhile share the query."""
        query = self._queries.get(prefix)
        if query is None:
            if len(self._queries) >= MAX_QUERIES:
                raise ServerUnreachableError("Too many API keys wait to be checked.", public=True)
            query = self._queries[prefix] = self._threads.submit(self._query, prefix)
            query.add_done_callback(lambda _: self._queries.pop(prefix, None))
        # Shielded: a request that is given up must not end the query that others share.
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(query)), QUERY_TIMEOUT_S)

    def _query(self, prefix: str) -> KnownKey | None:
        with self._catalog.begin() as session:
            row = keys.find(session, prefix)
        if row is None or row.revoked_at is not None:
            return None
        limit = keys.parse_rate_limit(row.rate_limit) if row.rate_limit else None
        return KnownKey(
            prefix=row.prefix,
            name=row.name,
            scopes=frozenset(map(Scope, row.scopes)),
            rate_limit=limit or self._default_rate_limit,
            expires_at=row.expires_at,
            secret_sha256=row.secret_sha256,
        )

    def _go_on_without_catalog(self, prefix: str, error: Exception) -> KnownKey:
        last = self._present.get(prefix)
        now_s = time.monotonic()
        if last is None or last.key is None or now_s > last.given_at_s + KEPT_WITHOUT_CATALOG_S:
            raise ServerUnreachableError(
                "The API key cannot be checked: the catalog does not answer. Try again soon.",
                public=True,
            ) from error
        self._remember(prefix, _Answer(last.key, last.given_at_s, now_s + FRESH_S))
        return last.key

    def _remember(self, prefix: str, answer: _Answer) -> None:
        self._present.pop(prefix, None)
        self._absent.pop(prefix, None)
        remembered = self._absent if answer.key is None else self._present
        remembered[prefix] = answer
        if len(remembered) > MAX_REMEMBERED:
            # The first one was not used for the longest time.
            del remembered[next(iter(remembered))]
