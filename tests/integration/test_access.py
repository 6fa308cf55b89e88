"""API keys on a real catalog and a real gateway: made, used, rotated, revoked."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from tests.stacks import key_for, visionops
from visionops_assets.catalog import keys
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Scope
from visionops_assets.errors import InvalidRequestError, NotFoundError
from visionops_assets.settings import Settings

REFUSED_WITHIN_S = 5.0


@pytest.fixture
def name(stack: Settings) -> str:
    """A name that no key has."""
    return f"client-{uuid4().hex[:8]}"


@pytest.fixture
def gateway(stack: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.gateway_url, trust_env=False) as client:
        yield client


def is_admitted(gateway: httpx.Client, key: str) -> bool:
    """Whether the gateway takes the key for predictions: it has no image to predict here."""
    answer = gateway.post("/v1/predict", headers=keys.bearer_header(SecretStr(key)))
    assert answer.status_code in {401, 415}, answer.text
    return answer.status_code == 415


def test_the_command_line_makes_a_key_that_works_until_it_is_revoked(
    gateway: httpx.Client, name: str, stack: Settings
) -> None:
    created = visionops("keys", "add", name, "--scope", "predict", "--rate", "500/second")
    key = created.stdout.strip()
    assert created.returncode == 0, created.stderr
    match = keys.KEY_PATTERN.fullmatch(key)
    assert match is not None
    assert key not in created.stderr
    assert is_admitted(gateway, key)
    assert gateway.get("/readyz").json() == {"status": "ready"}

    label_url = f"/v1/predictions/{uuid4()}/label"
    answer = gateway.post(label_url, json={"label": "1"}, headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    listed = [json.loads(line) for line in visionops("keys", "ls", "--json").stdout.splitlines()]
    (row,) = (row for row in listed if row["name"] == name)
    assert (row["prefix"], row["scopes"]) == (match["prefix"], ["predict"])
    assert key not in json.dumps(listed)

    revoked = visionops("keys", "revoke", name)
    assert (revoked.returncode, revoked.stdout) == (0, f"Revoked {match['prefix']} of {name}.\n")
    deadline_s = time.monotonic() + REFUSED_WITHIN_S
    while is_admitted(gateway, key):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    for log in (stack.home / "logs").glob("*.log"):
        assert key not in log.read_text(errors="replace"), log


def test_a_rotated_key_is_like_the_old_one_which_works_on_for_its_grace(name: str) -> None:
    now = datetime.now(UTC)
    with Catalog().begin() as session:
        keys.create(
            session, name, [Scope.LABEL], rate_limit="7/minute", lifetime=timedelta(days=90)
        )
    with Catalog().begin() as session:
        row, _ = keys.rotate(session, name, grace=timedelta(hours=1))
    with Catalog().begin() as session:
        new, old = (row for row in keys.list_all(session) if row.name == name)
    assert new.prefix == row.prefix != old.prefix
    assert (new.scopes, new.rate_limit) == (["label"], "7/minute") == (old.scopes, old.rate_limit)
    assert new.expires_at is not None
    assert old.expires_at is not None
    assert abs(new.expires_at - now - timedelta(days=90)) < timedelta(minutes=1)
    assert abs(old.expires_at - now - timedelta(hours=1)) < timedelta(minutes=1)
    assert keys.is_valid(new, now)
    assert keys.is_valid(old, now)
    with Catalog().begin() as session:
        # A longer grace gives an old key no more time than it had.
        keys.rotate(session, name, grace=timedelta(days=1))
        again = keys.find(session, old.prefix)
        assert again is not None
        assert again.expires_at == old.expires_at


def test_a_name_is_not_shared_by_accident(name: str) -> None:
    with Catalog().begin() as session:
        with pytest.raises(NotFoundError):
            keys.rotate(session, name)
        keys.create(session, name, [Scope.LABEL])
        with pytest.raises(InvalidRequestError, match="Rotate it"):
            keys.create(session, name, [Scope.ADMIN])
        keys.revoke(session, name)
        keys.create(session, name, [Scope.ADMIN])


def test_a_key_is_revoked_by_its_prefix_or_by_itself_alone(name: str) -> None:
    with Catalog().begin() as session:
        first, key = keys.create(session, name, [Scope.LABEL])
        second, _ = keys.rotate(session, name)
        assert [row.prefix for row in keys.revoke(session, key.get_secret_value())] == [
            first.prefix
        ]
        assert [row.prefix for row in keys.revoke(session, second.prefix)] == [second.prefix]
        with pytest.raises(NotFoundError) as error:
            keys.revoke(session, key.get_secret_value())
        assert key.get_secret_value() not in str(error.value)


def test_a_client_of_this_machine_replaces_its_own_key(
    gateway: httpx.Client, name: str, stack: Settings
) -> None:
    first = keys.own_key(stack, Catalog(), name, [Scope.PREDICT]).get_secret_value()
    second = keys.own_key(stack, Catalog(), name, [Scope.PREDICT]).get_secret_value()
    assert not is_admitted(gateway, first)
    assert is_admitted(gateway, second)


def test_a_key_of_admin_may_do_everything(gateway: httpx.Client, name: str) -> None:
    assert is_admitted(gateway, key_for(Scope.ADMIN).get_secret_value())
