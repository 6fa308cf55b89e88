"""A catalog that holds API keys in memory: as much of one as `Access` asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Self

from pydantic import SecretStr

from visionops_assets.catalog.keys import hash_key
from visionops_assets.catalog.schema import ApiKey
from visionops_assets.contracts import Scope
from visionops_assets.errors import ServerUnreachableError


class KeyCatalog:
    """Plays the catalog and its session at once."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.queries = 0
        self.is_down = False

    def issue(
        self,
        *scopes: Scope,
        name: str = "client",
        rate_limit: str | None = None,
        expires_at: datetime | None = None,
    ) -> SecretStr:
        """Make a key and keep it."""
        prefix = f"{len(self.keys):08}"
        key = f"vo_{prefix}_{'x' * 43}"
        self.keys[prefix] = ApiKey(
            prefix=prefix,
            name=name,
            secret_sha256=hash_key(key),
            scopes=[scope.value for scope in scopes],
            rate_limit=rate_limit,
            expires_at=expires_at,
        )
        return SecretStr(key)

    def revoke_all(self) -> None:
        for key in self.keys.values():
            key.revoked_at = datetime.now(UTC)

    @contextmanager
    def begin(self) -> Iterator[Self]:
        if self.is_down:
            raise ServerUnreachableError("The catalog does not answer.")
        yield self

    def get(self, _table: type[ApiKey], prefix: str) -> ApiKey | None:
        self.queries += 1
        return self.keys.get(prefix)

    def execute(self, _query: object) -> None:
        """Answer the check of readiness."""
