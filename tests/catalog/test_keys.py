"""Making keys, without a database; what the queries do is tested on a real catalog."""

from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy.orm import Session

from tests.services.key_catalog import KeyCatalog
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import (
    KEY_PATTERN,
    bearer_header,
    create,
    hash_key,
    own_key,
    parse_rate_limit,
)
from visionops_assets.catalog.schema import ApiKey
from visionops_assets.contracts import Scope
from visionops_assets.errors import InvalidRequestError, ServerUnreachableError
from visionops_assets.settings import Settings


class EmptySession:
    """A session of a catalog without keys."""

    def __init__(self) -> None:
        self.added: list[ApiKey] = []

    def scalars(self, _query: object) -> "EmptySession":
        return self

    def all(self) -> list[ApiKey]:
        return []

    def add(self, row: ApiKey) -> None:
        self.added.append(row)

    def flush(self) -> None:
        pass


@pytest.fixture
def session() -> Session:
    return cast("Session", EmptySession())


def test_a_key_has_256_bits_and_only_its_hash_is_kept(session: Session) -> None:
    row, key = create(session, "client", [Scope.INGEST])
    text = key.get_secret_value()
    match = KEY_PATTERN.fullmatch(text)
    assert match is not None
    assert match["prefix"] == row.prefix
    assert row.secret_sha256 == hash_key(text)
    assert len(text) == len("vo_12345678_") + 43  # 32 bytes in base64url, without padding
    assert text not in f"{row!r} {key!r} {vars(row)}"


def test_no_two_keys_are_alike(session: Session) -> None:
    keys = [create(session, "client", [Scope.INGEST]) for _ in range(1_000)]
    assert len({row.prefix for row, _ in keys}) == len({k.get_secret_value() for _, k in keys})
    assert len({k.get_secret_value()[12:] for _, k in keys}) == 1_000


def test_scopes_are_kept_once_and_in_order(session: Session) -> None:
    row, _ = create(session, "client", [Scope.PREDICT, Scope.INGEST, Scope.PREDICT])
    assert row.scopes == ["ingest", "predict"]


def test_a_key_expires_only_if_it_was_said(session: Session) -> None:
    forever, _ = create(session, "client", [Scope.INGEST])
    briefly, _ = create(session, "client", [Scope.INGEST], lifetime=timedelta(0))
    assert forever.expires_at is None
    assert briefly.expires_at is not None


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "a\n", "ä", "x" * 65])
def test_an_unusable_name_is_refused(session: Session, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a name for a key"):
        create(session, name, [Scope.INGEST])


def test_a_key_without_a_scope_is_refused_with_what_there_is(session: Session) -> None:
    with pytest.raises(InvalidRequestError, match="ingest, predict, label, admin"):
        create(session, "client", [])


@pytest.mark.parametrize("text", ["", "0/second", "5", "5/eon", "-1/second", "1/second;2/hour"])
def test_an_unusable_rate_limit_is_refused(session: Session, text: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a rate limit"):
        create(session, "client", [Scope.INGEST], rate_limit=text)


@given(st.text())
def test_any_text_is_a_rate_limit_or_an_invalid_request(text: str) -> None:
    try:
        limit = parse_rate_limit(text)
    except InvalidRequestError:
        return
    assert limit.amount >= 1
    assert limit.get_expiry() >= 1


def test_a_key_of_the_settings_is_used_before_one_is_made() -> None:
    catalog = KeyCatalog()
    catalog.is_down = True
    settings = Settings(api_key=SecretStr("given"))
    key = own_key(settings, cast("Catalog", catalog), "client", [Scope.INGEST])
    assert bearer_header(key) == {"Authorization": "Bearer given"}


def test_without_a_catalog_a_client_is_told_to_bring_a_key() -> None:
    catalog = KeyCatalog()
    catalog.is_down = True
    with pytest.raises(ServerUnreachableError, match="VISIONOPS_API_KEY"):
        own_key(Settings(), cast("Catalog", catalog), "client", [Scope.INGEST])
