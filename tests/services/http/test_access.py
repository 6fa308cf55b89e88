import json
import logging
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Self, cast

import httpx
import pytest
from fastapi import Depends, FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerHour
from pydantic import SecretStr

from tests.services.asgi_client import AsgiClient
from tests.services.key_catalog import KeyCatalog
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.contracts import Scope
from visionops_assets.errors import SettingsError
from visionops_assets.services.http import access, known_keys
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.server import RequestLog
from visionops_assets.services.logs import JsonLines
from visionops_assets.settings import Settings

scopes = st.sets(st.sampled_from(Scope), min_size=1)


def service_of(catalog: KeyCatalog, rate_limit: str = "1000/second") -> AsgiClient:
    """Serve a route for each scope; it answers with the name of the client."""
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(RequestLog)
    checked = Access(cast("Catalog", catalog), Settings(rate_limit=rate_limit))

    def add_route(scope: Scope) -> None:
        @app.get(f"/{scope}", responses=PROTECTED)
        def route(client: Annotated[Principal, Depends(checked.require(scope))]) -> str:
            return client.name

    for scope in Scope:
        add_route(scope)
    return AsgiClient(app)


@pytest.fixture
def catalog() -> KeyCatalog:
    return KeyCatalog()


@pytest.fixture
def service(catalog: KeyCatalog) -> AsgiClient:
    return service_of(catalog)


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


def header_of(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let time pass for what is remembered of keys."""
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + seconds)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "X-API-Key"])
def test_a_key_is_taken_from_either_header(
    service: AsgiClient, catalog: KeyCatalog, scheme: str
) -> None:
    key = catalog.issue(Scope.INGEST, name="alice").get_secret_value()
    header = {scheme: key} if scheme == "X-API-Key" else {"Authorization": f"{scheme} {key}"}
    answer = service.get("/ingest", headers=header)
    assert (answer.status_code, answer.json()) == (200, "alice")


@settings(deadline=None)
@given(owned=scopes, needed=st.sampled_from(Scope))
def test_a_key_may_do_what_its_scopes_say_and_admin_everything(
    owned: set[Scope], needed: Scope
) -> None:
    catalog = KeyCatalog()
    answer = service_of(catalog).get(f"/{needed}", headers=bearer_header(catalog.issue(*owned)))
    assert answer.status_code == (200 if owned & {needed, Scope.ADMIN} else 403)


KEY = "vo_00000000_" + "x" * 43
mutations = st.one_of(
    st.tuples(st.integers(0, len(KEY) - 1), st.characters(min_codepoint=33, max_codepoint=126)).map(
        lambda at: KEY[: at[0]] + at[1] + KEY[at[0] + 1 :]
    ),
    st.integers(0, len(KEY)).map(lambda length: KEY[:length]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).map(KEY.__add__),
    st.text(st.characters(min_codepoint=33, max_codepoint=126)),
).filter(lambda text: text != KEY)


@settings(deadline=None)
@given(mutations)
def test_any_other_text_than_the_key_is_refused(text: str) -> None:
    catalog = KeyCatalog()
    assert catalog.issue(Scope.ADMIN).get_secret_value() == KEY
    answer = service_of(catalog).get("/ingest", headers=header_of(text))
    assert (answer.status_code, code_of(answer)) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert len(text) < 8 or text not in answer.text


@pytest.mark.parametrize("text", ["", "abc", KEY[:-1], KEY + "a", KEY.replace("vo", "VO"), "ä" * 5])
def test_a_malformed_key_never_reaches_the_catalog(
    service: AsgiClient, catalog: KeyCatalog, text: str
) -> None:
    headers = {b"X-API-Key": text.encode()}
    assert service.request("GET", "/ingest", headers=headers).status_code == 401
    assert catalog.queries == 0


def test_without_a_key_one_is_told_where_to_get_it(service: AsgiClient) -> None:
    answer = service.get("/ingest")
    assert answer.status_code == 401
    assert "visionops keys add" in answer.json()["detail"]


def test_an_expired_key_is_refused(service: AsgiClient, catalog: KeyCatalog) -> None:
    key = catalog.issue(Scope.INGEST, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert service.get("/ingest", headers=bearer_header(key)).status_code == 401


def test_a_key_expires_while_it_is_remembered(
    service: AsgiClient, catalog: KeyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InTwoHours(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=2)

    expires_at = datetime.now(UTC) + timedelta(hours=1)
    header = bearer_header(catalog.issue(Scope.INGEST, expires_at=expires_at))
    assert service.get("/ingest", headers=header).status_code == 200
    monkeypatch.setattr(known_keys, "datetime", InTwoHours)
    assert service.get("/ingest", headers=header).status_code == 401
    assert catalog.queries == 1


def test_many_requests_cost_one_query(service: AsgiClient, catalog: KeyCatalog) -> None:
    header = bearer_header(catalog.issue(Scope.INGEST))
    assert {service.get("/ingest", headers=header).status_code for _ in range(30)} == {200}
    assert catalog.queries == 1


def test_a_wrong_secret_of_a_known_prefix_costs_no_query(
    service: AsgiClient, catalog: KeyCatalog
) -> None:
    key = catalog.issue(Scope.INGEST)
    service.get("/ingest", headers=bearer_header(key))
    wrong = header_of(key.get_secret_value()[:-1] + "y")
    assert {service.get("/ingest", headers=wrong).status_code for _ in range(5)} == {401}
    assert catalog.queries == 1


def test_a_key_that_does_not_exist_is_remembered_too(
    service: AsgiClient, catalog: KeyCatalog
) -> None:
    assert {service.get("/ingest", headers=header_of(KEY)).status_code for _ in range(5)} == {401}
    assert catalog.queries == 1


def test_a_revoked_key_is_refused_within_five_seconds(
    service: AsgiClient, catalog: KeyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bearer_header(catalog.issue(Scope.INGEST))
    assert service.get("/ingest", headers=header).status_code == 200
    catalog.revoke_all()
    assert known_keys.FRESH_S + known_keys.QUERY_TIMEOUT_S <= 5
    later(monkeypatch, known_keys.FRESH_S)
    assert service.get("/ingest", headers=header).status_code == 401


def test_without_the_catalog_known_keys_go_on_for_a_while_and_others_wait(
    service: AsgiClient, catalog: KeyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, other = catalog.issue(Scope.INGEST), catalog.issue(Scope.INGEST)
    service.get("/ingest", headers=bearer_header(known))
    catalog.is_down = True
    with monkeypatch.context() as patch:
        later(patch, 2 * known_keys.FRESH_S)
        assert service.get("/ingest", headers=bearer_header(known)).status_code == 200
        answer = service.get("/ingest", headers=bearer_header(other))
        assert (answer.status_code, code_of(answer)) == (503, "server_unreachable")
    with monkeypatch.context() as patch:
        later(patch, known_keys.KEPT_WITHOUT_CATALOG_S + known_keys.FRESH_S)
        assert service.get("/ingest", headers=bearer_header(known)).status_code == 503
    catalog.is_down = False
    assert service.get("/ingest", headers=bearer_header(other)).status_code == 200


def test_what_is_remembered_is_bounded_and_guesses_crowd_out_no_key(
    catalog: KeyCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MAX_REMEMBERED", 3)
    monkeypatch.setattr(access, "ATTEMPTS", RateLimitItemPerHour(1_000))
    service = service_of(catalog)
    header = bearer_header(catalog.issue(Scope.INGEST))
    service.get("/ingest", headers=header)
    for number in range(10):
        guess = KEY.replace("00000000", f"guess{number:03}")
        assert service.get("/ingest", headers=header_of(guess)).status_code == 401
    assert service.get("/ingest", headers=header).status_code == 200
    assert catalog.queries == 11


@pytest.fixture
def twenty_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit guesses for longer than a test takes."""
    monkeypatch.setattr(access, "ATTEMPTS", RateLimitItemPerHour(20))


@pytest.mark.usefixtures("twenty_an_hour")
def test_guesses_are_limited_by_address_and_a_known_key_is_not(
    service: AsgiClient, catalog: KeyCatalog
) -> None:
    header = bearer_header(catalog.issue(Scope.INGEST))
    service.get("/ingest", headers=header)
    answers = [service.get("/ingest", headers=header_of("guess")) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert code_of(answers[-1]) == "rate_limited"
    assert 3_590 <= int(answers[-1].headers["retry-after"]) <= 3_600
    assert service.get("/ingest", headers=header).status_code == 200


@pytest.mark.usefixtures("twenty_an_hour")
def test_guesses_that_are_limited_do_not_reach_the_catalog(
    service: AsgiClient, catalog: KeyCatalog
) -> None:
    guesses = [header_of(KEY.replace("00000000", f"guess{i:03}")) for i in range(40)]
    seen = [service.get("/ingest", headers=guess).status_code for guess in guesses]
    assert set(seen) == {401, 429}
    assert seen[-20:] == [429] * 20
    assert catalog.queries <= 20


@pytest.mark.usefixtures("twenty_an_hour")
@pytest.mark.parametrize("noise", [{}, header_of("guess")])
def test_noise_of_an_address_shuts_out_no_new_key_of_it(
    service: AsgiClient, catalog: KeyCatalog, noise: dict[str, str]
) -> None:
    known = bearer_header(catalog.issue(Scope.INGEST))
    wrong = header_of(KEY.replace("00000000", "wrong000"))
    for headers in (noise, wrong):
        seen = [service.get("/ingest", headers=headers).status_code for _ in range(30)]
        assert seen[-1] == 429
    assert service.get("/ingest", headers=known).status_code == 200
    assert catalog.queries < 5


def test_the_limit_of_a_key_holds_for_its_name(catalog: KeyCatalog) -> None:
    service = service_of(catalog, rate_limit="3/hour")
    old, new = catalog.issue(Scope.INGEST, name="a"), catalog.issue(Scope.INGEST, name="a")
    other = catalog.issue(Scope.INGEST, name="b")
    keys = [old, new, old, new, other]
    answers = [service.get("/ingest", headers=bearer_header(key)) for key in keys]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200]
    assert code_of(answers[3]) == "rate_limited"
    assert 3_590 <= int(answers[3].headers["retry-after"]) <= 3_600


def test_a_limit_of_the_key_comes_before_that_of_the_settings(catalog: KeyCatalog) -> None:
    service = service_of(catalog, rate_limit="1/hour")
    header = bearer_header(catalog.issue(Scope.INGEST, rate_limit="2/hour"))
    seen = [service.get("/ingest", headers=header).status_code for _ in range(3)]
    assert seen == [200, 200, 429]


def test_a_rate_limit_of_the_settings_that_is_none_is_said(catalog: KeyCatalog) -> None:
    with pytest.raises(SettingsError, match="VISIONOPS_RATE_LIMIT"):
        service_of(catalog, rate_limit="often")


@pytest.mark.parametrize("scope", [Scope.INGEST, Scope.LABEL])
def test_the_log_names_the_key_by_its_public_part_alone(
    service: AsgiClient, catalog: KeyCatalog, caplog: pytest.LogCaptureFixture, scope: Scope
) -> None:
    key = catalog.issue(scope)
    with caplog.at_level(logging.DEBUG):
        service.get("/ingest", headers=bearer_header(key))
        service.get("/ingest", headers={"X-API-Key": _wrong(key)})
    lines = [JsonLines().format(r) for r in caplog.records if r.message == "request"]
    assert [json.loads(line)["key"] for line in lines] == ["00000000", None]
    assert "xxxx" not in caplog.text + "".join(lines)


def _wrong(key: SecretStr) -> str:
    return key.get_secret_value()[:-1] + "y"


def test_openapi_shows_both_ways_to_bring_a_key_and_what_is_answered_without(
    service: AsgiClient,
) -> None:
    openapi = service.get("/openapi.json").json()
    assert set(openapi["components"]["securitySchemes"]) == {"Bearer", "ApiKey"}
    for scope in Scope:
        route = openapi["paths"][f"/{scope}"]["get"]
        assert route["security"] == [{"Bearer": []}, {"ApiKey": []}]
        assert {"401", "403", "429", "503"} <= set(route["responses"])
        for status in ("401", "403", "429", "503"):
            assert list(route["responses"][status]["content"]) == ["application/problem+json"]
