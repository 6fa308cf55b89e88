"""Who may use the sign-in of a page: that page, and no other."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from visionops_assets.errors import ForbiddenError
from visionops_assets.services.http.cookies import PATH, forget, keep, key_in_cookie

KEY = "vo_12345678_secret"


def request(method: str = "POST", scheme: str = "http", **headers: str) -> Request:
    given = {"host": "127.0.0.1:8081", "cookie": f"visionops_key={KEY}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "path": "/v1/predict",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    return Request(scope)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"origin": "http://127.0.0.1:8081"},
        # Where a proxy ends TLS, the origin's scheme is not that of the request.
        {"host": "api.example.com", "origin": "https://api.example.com"},
    ],
)
def test_the_page_itself_may_use_its_cookie(headers: dict[str, str]) -> None:
    assert key_in_cookie(request(**headers)) == KEY


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "cross-site"},
        # Another port of this machine: to a browser the same site, so the cookie is sent.
        {"sec_fetch_site": "same-site", "origin": "http://127.0.0.1:3000"},
        {"sec_fetch_site": "none"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://127.0.0.1:8081.evil.example"},
        {"origin": "null"},
    ],
)
def test_no_other_page_may(headers: dict[str, str]) -> None:
    with pytest.raises(ForbiddenError, match="Only the page of this service"):
        key_in_cookie(request(**headers))


def test_a_foreign_page_may_not_even_read() -> None:
    with pytest.raises(ForbiddenError):
        key_in_cookie(request("GET", sec_fetch_site="same-site"))
    # By plain HTTP a browser says nothing of where a GET comes from; it changes nothing.
    assert key_in_cookie(request("GET")) == KEY


def test_without_the_cookie_there_is_nothing_to_guard() -> None:
    assert key_in_cookie(request(cookie="other=1", sec_fetch_site="cross-site")) is None


@pytest.mark.parametrize(
    ("scheme", "origin", "is_secure"),
    [
        ("http", "http://127.0.0.1:8081", False),
        ("https", "https://api.example.com", True),
        ("http", "https://api.example.com", True),
    ],
)
def test_a_script_cannot_read_it_and_other_sites_cannot_have_it_sent(
    scheme: str, origin: str, is_secure: bool
) -> None:
    response = Response()
    keep(response, request(scheme=scheme, origin=origin), SecretStr(KEY), timedelta(hours=12))
    first, *attributes = response.headers["set-cookie"].split("; ")
    assert first == f"visionops_key={KEY}"
    expected = {"HttpOnly", "Max-Age=43200", f"Path={PATH}", "SameSite=strict"}
    assert set(attributes) == expected | ({"Secure"} if is_secure else set())


def test_signing_out_takes_it_away() -> None:
    response = Response()
    forget(response)
    assert f"Max-Age=0; Path={PATH}" in response.headers["set-cookie"]
