"""One-time links: each signs one browser in, once, for a while, without anybody's key.

The secret of a link is 256 random bits; the catalog holds its SHA-256, as it does for keys. It is
exchanged for a key that expires, so that scopes, limits and revocation are those of keys.
"""

import secrets
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog import keys
from visionops_assets.catalog.schema import ApiKey, SignInLink
from visionops_assets.contracts import Scope
from visionops_assets.errors import UnauthenticatedError

LINK_LIFETIME = timedelta(minutes=15)
SESSION_LIFETIME = timedelta(hours=12)
SESSION_SCOPES = (Scope.PREDICT, Scope.LABEL)
FRAGMENT = "once"

_SECRET_BYTES = 32
_WHAT_TO_DO = "Make another one with `visionops link`, or sign in with an API key."


def create_link(session: Session, page_url: str) -> SecretStr:
    """Make a link to the page at `page_url` that works once, within 15 minutes.

    The secret is in the fragment, which browsers send to nobody: no log and no proxy has it.
    """
    now = datetime.now(UTC)
    # Old ones say nothing any more once the keys that were made of them are over.
    session.execute(delete(SignInLink).where(SignInLink.expires_at < now - 2 * SESSION_LIFETIME))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    session.add(SignInLink(secret_sha256=keys.hash_key(secret), expires_at=now + LINK_LIFETIME))
    session.flush()
    return SecretStr(f"{page_url.rstrip('/')}/#{FRAGMENT}={secret}")


def redeem(session: Session, secret: str) -> tuple[ApiKey, SecretStr]:
    """Use a link up and return the key that it is exchanged for: predict and label, for 12 hours.

    Raises:
        UnauthenticatedError: the link was used, has expired or is unknown; the message says which.
    """
    digest = keys.hash_key(secret)
    # One statement: of two browsers that come at once, one finds it unused.
    link = session.scalars(
        update(SignInLink)
        .where(
            SignInLink.secret_sha256 == digest,
            SignInLink.used_at.is_(None),
            SignInLink.expires_at > func.now(),
        )
        .values(used_at=func.now())
        .returning(SignInLink)
    ).first()
    if link is None:
        raise UnauthenticatedError(_why_not(session.get(SignInLink, digest)))
    name = f"link-{digest[:12]}"
    row, key = keys.create(session, name, SESSION_SCOPES, lifetime=SESSION_LIFETIME)
    link.key_prefix = row.prefix
    return row, key


def end_session(session: Session, prefix: str) -> None:
    """Revoke a key that a link was exchanged for; one that a person was given stays valid."""
    of_links = select(SignInLink.key_prefix).where(SignInLink.key_prefix == prefix)
    session.execute(
        update(ApiKey)
        .where(ApiKey.prefix.in_(of_links), ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def _why_not(link: SignInLink | None) -> str:
    if link is None:
        return f"This link is not known here. {_WHAT_TO_DO}"
    if link.used_at is not None:
        return f"This link was used already: it signs in once. {_WHAT_TO_DO}"
    minutes = LINK_LIFETIME // timedelta(minutes=1)
    return f"This link has expired: it is valid for {minutes} minutes. {_WHAT_TO_DO}"
