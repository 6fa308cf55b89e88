"""The files of one form: stored as they come, small ones together."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from visionops_assets.catalog.uploads import Deposit
from visionops_assets.errors import InvalidRequestError, MediaError
from visionops_assets.services.ingest.counting import from_the_first
from visionops_assets.services.ingest.deposits import Deposits
from visionops_assets.services.ingest.fields import MediaFields
from visionops_assets.services.ingest.measuring import CHUNK_BYTES

TOGETHER_FILES = 32
TOGETHER_BYTES = 4 * 1024**2
"""Small files are held until there are this many, or more bytes; then they are stored at once."""

Outcome = Deposit | MediaError | InvalidRequestError


@dataclass(frozen=True)
class ReceivedFile:
    """One file of a request: its place or the reason of its refusal, and the facts about it."""

    filename: str | None
    outcome: Outcome
    facts: MediaFields


class ReceivedFiles:
    """The files of one form, in their order."""

    def __init__(self, deposits: Deposits) -> None:
        self._deposits = deposits
        self._names: list[str | None] = []
        self._outcomes: dict[int, Outcome] = {}
        self._held: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Return the number of files that came."""
        return len(self._names)

    async def take(self, filename: str | None, content: AsyncIterator[bytes]) -> None:
        """Store the next file, or hold it until others come if it is small.

        Raises:
            VisionOpsError: the request fails. The caller discards all files.
        """
        place = len(self._names)
        self._names.append(filename)
        beginning, beginning_bytes = deque[bytes](), 0
        async for piece in content:
            beginning.append(piece)
            beginning_bytes += len(piece)
            if beginning_bytes > CHUNK_BYTES:
                self._outcomes[place] = await self._deposit(from_the_first(beginning, content))
                return
        self._held[place] = b"".join(beginning)
        held_bytes = sum(map(len, self._held.values()))
        if len(self._held) >= TOGETHER_FILES or held_bytes > TOGETHER_BYTES:
            await self._store_held()

    async def described(self, facts: MediaFields, own: Sequence[str]) -> list[ReceivedFile]:
        """Return all files, stored or refused, with the facts about all or about each.

        Raises:
            VisionOpsError: the request fails. The caller discards all files.
        """
        await self._store_held()
        described = [facts] * len(self)
        for place, said in enumerate(own):
            try:
                described[place] = about = facts.about(said)
            except InvalidRequestError as error:
                await self._refuse(place, error)
            else:
                self._names[place] = about.filename or self._names[place]
        outcomes = [self._outcomes[place] for place in range(len(self))]
        return list(map(ReceivedFile, self._names, outcomes, described))

    async def discard(self) -> None:
        """Remove all that was stored."""
        await self._deposits.discard(d for d in self._outcomes.values() if isinstance(d, Deposit))

    async def _refuse(self, place: int, error: InvalidRequestError) -> None:
        outcome, self._outcomes[place] = self._outcomes[place], error
        if isinstance(outcome, Deposit):
            await self._deposits.discard([outcome])

    async def _deposit(self, content: AsyncIterator[bytes]) -> Deposit | MediaError:
        try:
            return await self._deposits.store(content)
        except MediaError as error:
            return error

    async def _store_held(self) -> None:
        held, self._held = self._held, {}
        if held:
            outcomes = await self._deposits.store_all(list(held.values()))
            self._outcomes.update(zip(held, outcomes, strict=True))
