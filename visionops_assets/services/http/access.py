"""Who may do what: API keys, their scopes and their rate limits, as a dependency of routes.

    access = Access(catalog, settings)

    @app.post("/v1/predict", responses=PROTECTED)
    async def predict(client: Annotated[Principal, Depends(access.require(Scope.PREDICT))]): ...

A route must read its body itself, from the request. The framework reads a declared `File`, `Form`
or body before any dependency, so from clients without a key, too.
"""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import APIKeyHeader
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param
from limits import RateLimitItem, RateLimitItemPerSecond
from starlette.requests import HTTPConnection, Request

from visionops_assets.catalog import keys
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Scope
from visionops_assets.errors import (
    ForbiddenError,
    InvalidRequestError,
    RateLimitedError,
    SettingsError,
    UnauthenticatedError,
)
from visionops_assets.services.http.cookies import key_in_cookie
from visionops_assets.services.http.known_keys import KnownKey, KnownKeys
from visionops_assets.services.http.problems import problems
from visionops_assets.services.http.rates import Windows
from visionops_assets.services.http.server import note_key_prefix
from visionops_assets.settings import Settings

ATTEMPTS = RateLimitItemPerSecond(20)
"""Of one address, with no valid key: guessing must load neither us nor the catalog.

Requests that need no look into the catalog, such as those without a key, are counted apart from
those that do. So noise from an address does not shut out a new key from there.
"""
_NOISE, _LOOK_UP, _SIGN_IN = "noise", "look-up", "sign-in"

PROTECTED = problems(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""Refusals of every route that needs a key, for its `responses`."""

_DESCRIPTION = "An API key, made by an operator with `visionops keys add`."
_BEARER = HTTPBearer(description=_DESCRIPTION)
_X_API_KEY = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", description=_DESCRIPTION, auto_error=False
)
_NO_KEY_SHA256 = keys.hash_key("")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request. The name stays when its key is rotated."""

    name: str
    prefix: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Say whether the key has this scope; `admin` has every one."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class Access:
    """Checks the keys of one service. Limits hold for each replica by itself."""

    def __init__(
        self, catalog: Catalog, settings: Settings, *, takes_cookies: bool = False
    ) -> None:
        """Build it. The catalog is first asked at the first request.

        With `takes_cookies` a key may come in the cookie of a page of ours too.

        Raises:
            SettingsError: the rate limit of the settings cannot be used.
        """
        try:
            default_rate_limit = keys.parse_rate_limit(settings.rate_limit)
        except InvalidRequestError as error:
            raise SettingsError(f"Unusable settings. VISIONOPS_RATE_LIMIT: {error}") from None
        self.takes_cookies = takes_cookies
        self._keys = KnownKeys(catalog, default_rate_limit)
        self._windows = Windows()

    def require(self, scope: Scope) -> "Guard":
        """Return the dependency of a route that needs `scope`; it gives the `Principal`."""
        return Guard(self, scope)

    async def admit(
        self, request: HTTPConnection, presented: str | None, scope: Scope
    ) -> Principal:
        """Let a request, or a frame of a WebSocket, with this key pass, or raise.

        Raises:
            UnauthenticatedError: there is no key, or none that is valid.
            ForbiddenError: the key does not have the scope.
            RateLimitedError: too many requests of this key, or too many guesses.
            ServerUnreachableError: the key is not known here, and the catalog does not answer.
        """
        key = await self._identify(presented, _address(request))
        note_key_prefix(request.scope, key.prefix)
        self._count(key.rate_limit, "key", key.name)
        client = Principal(key.name, key.prefix, key.scopes)
        _check_scope(client, scope)
        return client

    def count_guess(self, request: HTTPConnection) -> None:
        """Count an attempt to get in without a key, as by a link.

        Raises:
            RateLimitedError: too many came from this address.
        """
        self._count(ATTEMPTS, _SIGN_IN, _address(request))

    async def recheck(self, request: HTTPConnection, presented: str | None, scope: Scope) -> None:
        """Check that an open connection may still go on. This does not count as a request.

        Raises:
            UnauthenticatedError, ForbiddenError, ServerUnreachableError: see `admit`.
        """
        key = await self._identify(presented, _address(request))
        _check_scope(Principal(key.name, key.prefix, key.scopes), scope)

    async def _identify(self, presented: str | None, address: str) -> KnownKey:
        """Find the valid key that was presented; every failure counts as a guess."""
        if not presented:
            self._count(ATTEMPTS, _NOISE, address)
            raise UnauthenticatedError(
                "This needs an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. "
                "An operator makes one with `visionops keys add`."
            )
        match = keys.KEY_PATTERN.fullmatch(presented)
        key = await self._find(match["prefix"], address) if match else None
        expected = key.secret_sha256 if key else _NO_KEY_SHA256
        is_right = hmac.compare_digest(keys.hash_key(presented), expected)
        if key is None or not is_right or key.is_expired():
            self._count(ATTEMPTS, _NOISE, address)
            raise UnauthenticatedError(
                "The API key is not valid: it is mistyped, has expired or was revoked."
            )
        return key

    async def _find(self, prefix: str, address: str) -> KnownKey | None:
        if not self._keys.remembers(prefix):
            # Counted before the catalog is asked: guesses that come at once are many.
            self._count(ATTEMPTS, _LOOK_UP, address)
        return await self._keys.find(prefix)

    def _count(self, limit: RateLimitItem, kind: str, who: str) -> None:
        wait_s = self._windows.hit(limit, kind, who)
        if wait_s is not None:
            raise RateLimitedError(f"More than {limit}. Come again in {wait_s} s.", wait_s)


class Guard(SecurityBase):
    """The dependency of a route: a key in either header, or in the cookie, with one scope.

    It is one security scheme and not three dependencies, since each costs every request.
    """

    def __init__(self, access: Access, scope: Scope) -> None:
        self.model = _BEARER
        self.scheme_name = "Bearer"
        self._access = access
        self.scope = scope

    async def __call__(
        self, request: Request, x_api_key: Annotated[str | None, Security(_X_API_KEY)]
    ) -> Principal:
        """Let the request pass, or raise what `Access.admit` does."""
        presented = presented_key(request) or x_api_key
        if presented is None and self._access.takes_cookies:
            presented = key_in_cookie(request)
        return await self._access.admit(request, presented, self.scope)


def _check_scope(client: Principal, scope: Scope) -> None:
    if not client.may(scope):
        raise ForbiddenError(
            f"The API key {client.prefix!r} does not have the scope {scope.value!r}."
        )


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client else "unknown"


def presented_key(connection: HTTPConnection) -> str | None:
    """Return the API key of a request or a handshake, from either header."""
    scheme, bearer = get_authorization_scheme_param(connection.headers.get("authorization"))
    return bearer if scheme.lower() == "bearer" else connection.headers.get("x-api-key")
