"""Makes, rotates, revokes and finds API keys. The catalog does not hold the keys themselves.

A key reads `vo_<prefix>_<secret>`: 8 public characters to find, show and log it by, and 32 random
bytes in base64url. The catalog holds its SHA-256: a slow hash protects secrets that can be guessed,
and 256 random bits cannot.
"""

import hashlib
import re
import secrets
import string
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from limits import RateLimitItem, parse_many
from pydantic import SecretStr
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import ApiKey
from visionops_assets.contracts import Scope
from visionops_assets.errors import InvalidRequestError, NotFoundError, ServerUnreachableError
from visionops_assets.settings import Settings

KEY_PATTERN = re.compile(r"vo_(?P<prefix>[a-z0-9]{8})_[A-Za-z0-9_-]{43}")
DEFAULT_GRACE = timedelta(hours=24)

_PREFIX_LENGTH = 8
_SECRET_BYTES = 32
_PREFIX_CHARACTERS = string.ascii_lowercase + string.digits
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def create(
    session: Session,
    name: str,
    scopes: Collection[Scope],
    *,
    rate_limit: str | None = None,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, SecretStr]:
    """Make the first key of a name. The key is returned here and never again.

    `rate_limit` is like `100/second`; None is the limit of the settings. Without a `lifetime` the
    key does not expire.

    Raises:
        InvalidRequestError: a value cannot be used, or the name has a valid key already: uploads
            belong to a name, so two clients must not share one by accident.
    """
    if _valid_keys(session, name):
        raise InvalidRequestError(
            f"There is a valid key named {name!r}. Rotate it, or choose another name."
        )
    return _add(session, name, scopes, rate_limit, lifetime)


def rotate(
    session: Session,
    name: str,
    scopes: Collection[Scope] = (),
    *,
    grace: timedelta = DEFAULT_GRACE,
    rate_limit: str | None = None,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, SecretStr]:
    """Make a new key of a name; its older ones expire after `grace`, if not before.

    By default the new key is like the newest older one: a key that expires is not replaced by one
    that does not.

    Raises:
        NotFoundError: the name has no valid key.
        InvalidRequestError: a value cannot be used.
    """
    older = _valid_keys(session, name)
    if not older:
        raise NotFoundError(f"There is no valid key named {name!r} to rotate. Create one.")
    newest = older[0]
    if lifetime is None and newest.expires_at is not None:
        lifetime = newest.expires_at - newest.created_at
    ends_at = datetime.now(UTC) + grace
    for row in older:
        row.expires_at = min(row.expires_at or ends_at, ends_at)
    return _add(
        session,
        name,
        scopes or [Scope(scope) for scope in newest.scopes],
        rate_limit or newest.rate_limit,
        lifetime,
    )


def replace(session: Session, name: str, scopes: Collection[Scope]) -> SecretStr:
    """Revoke every key of a name and make one, for a client that keeps its key in memory only."""
    _revoke(session, ApiKey.name == name)
    _, key = _add(session, name, scopes)
    return key


def own_key(
    settings: Settings, catalog: Catalog, name: str, scopes: Collection[Scope]
) -> SecretStr:
    """Return the key of the settings; without one, make a key of `name`.

    Raises:
        ServerUnreachableError: there is no key in the settings, and the catalog does not answer.
    """
    if settings.api_key is not None:
        return settings.api_key
    try:
        with catalog.begin() as session:
            return replace(session, name, scopes)
    except ServerUnreachableError as error:
        said = f"{error} If you have a key, set VISIONOPS_API_KEY to it."
        raise ServerUnreachableError(said) from error


def bearer_header(key: SecretStr) -> dict[str, str]:
    """Return the HTTP header that shows a client's key. It holds the key in clear text."""
    return {"Authorization": f"Bearer {key.get_secret_value()}"}


def list_all(session: Session) -> Sequence[ApiKey]:
    """Return all keys, valid or not, by name, the newest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.name, ApiKey.created_at.desc())).all()


def find(session: Session, prefix: str) -> ApiKey | None:
    """Find a key by its prefix, valid or not."""
    return session.get(ApiKey, prefix)


def revoke(session: Session, which: str) -> Sequence[ApiKey]:
    """Revoke a key, named by its prefix or by itself, or all keys of a name; return them.

    Services may go on accepting a revoked key for up to 5 seconds.

    Raises:
        NotFoundError: no unrevoked key has this prefix or name.
    """
    itself = KEY_PATTERN.fullmatch(which)
    prefix = itself["prefix"] if itself else which
    revoked = _revoke(session, ApiKey.prefix == prefix) or _revoke(session, ApiKey.name == which)
    if not revoked:
        # Not echoed: it may be a key, mistyped.
        raise NotFoundError("No unrevoked key has this prefix or name. See `visionops keys ls`.")
    return revoked


def is_valid(key: ApiKey, now: datetime) -> bool:
    """Say whether the key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def hash_key(key: str) -> str:
    """Return the SHA-256 of a whole key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse_rate_limit(text: str) -> RateLimitItem:
    """Read a rate limit such as `100/second` or `5 per 10 minutes`.

    Raises:
        InvalidRequestError: the text is not one limit of at least one request.
    """
    try:
        limits = parse_many(text)
    except ValueError:
        limits = []
    if len(limits) != 1 or limits[0].amount < 1:
        raise InvalidRequestError(f"{text!r} is not a rate limit. Write it like 100/second.")
    return limits[0]


def _add(
    session: Session,
    name: str,
    scopes: Collection[Scope],
    rate_limit: str | None = None,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, SecretStr]:
    if not _NAME_PATTERN.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is not a name for a key: use up to 64 letters, digits and . _ @ -."
        )
    if not scopes:
        raise InvalidRequestError(f"A key needs a scope: {', '.join(Scope)}.")
    if rate_limit is not None:
        parse_rate_limit(rate_limit)
    prefix = "".join(secrets.choice(_PREFIX_CHARACTERS) for _ in range(_PREFIX_LENGTH))
    key = f"vo_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = ApiKey(
        prefix=prefix,
        name=name,
        secret_sha256=hash_key(key),
        scopes=sorted(set(scopes)),
        rate_limit=rate_limit,
        expires_at=None if lifetime is None else datetime.now(UTC) + lifetime,
    )
    session.add(row)
    session.flush()
    return row, SecretStr(key)


def _valid_keys(session: Session, name: str) -> Sequence[ApiKey]:
    """Return the valid keys of a name, the newest first."""
    is_current = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > datetime.now(UTC))
    return session.scalars(
        select(ApiKey)
        .where(ApiKey.name == name, ApiKey.revoked_at.is_(None), is_current)
        .order_by(ApiKey.created_at.desc())
    ).all()


def _revoke(session: Session, which: ColumnElement[bool]) -> Sequence[ApiKey]:
    return session.scalars(
        update(ApiKey)
        .where(which, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey)
    ).all()
