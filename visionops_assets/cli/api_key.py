"""The API key with which a command calls our services."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pydantic import SecretStr

from visionops_assets.contracts import Scope
from visionops_assets.errors import NotFoundError, ServerUnreachableError
from visionops_assets.settings import Settings


@contextmanager
def given_or_own_key(
    settings: Settings, given: str | None, name: str, scope: Scope
) -> Iterator[SecretStr]:
    """Yield the key that was given or set, or make one under `name` and revoke it afterwards."""
    if key := SecretStr(given) if given else settings.api_key:
        yield key
        return
    from visionops_assets.catalog import keys
    from visionops_assets.catalog.connection import Catalog

    try:
        yield keys.own_key(settings, Catalog(), name, [scope])
    finally:
        # Nobody holds a key that stays behind, and the next one of its name revokes it.
        with suppress(ServerUnreachableError, NotFoundError), Catalog().begin() as session:
            keys.revoke(session, name)
