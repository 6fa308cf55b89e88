"""Dagster's web pages, guarded: their server has no login, and answers only those pages here.

`python -m visionops_assets.services.dagster_webserver`, with the options of `dagster-webserver`. A
browser lets any page send requests here. Dagster carries out changes that come by GET or as plain
text, and a browser sends those without asking first.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from dagster_webserver.cli import main
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from visionops_assets.services.http.problems import problem
from visionops_assets.services.http.server import LOOPBACK_HOSTS
from visionops_assets.settings import Settings, load_settings

_GRAPHQL = "/graphql"
_JSON = "application/json"


class OwnPagesOnly:
    """Middleware: refuses requests for other hosts or of foreign pages, and odd GraphQL.

    `hosts` are the names by which the server may be called; without any, every name is.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] in {"http", "websocket"}:
            headers = Headers(scope=scope)
            refusal = self._refusal_of_origin(headers) or _refusal_of_graphql(scope, headers)
            if refusal is not None:
                await problem(*refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal_of_origin(self, headers: Headers) -> tuple[HTTPStatus, str, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        is_own = not self._hosts or _name_of(host) in self._hosts
        # A rebound name shows in `Host`. A foreign page, also one of another port, shows in
        # `Origin`.
        if is_own and (origin is None or _netloc(origin) == host):
            return None
        detail = "These pages take requests from themselves only, not from pages of elsewhere."
        return HTTPStatus.FORBIDDEN, "foreign_origin", detail


def _refusal_of_graphql(scope: Scope, headers: Headers) -> tuple[HTTPStatus, str, str] | None:
    """Refuse GraphQL that a foreign page could send without showing its origin."""
    if scope["type"] != "http" or scope["path"].rstrip("/") != _GRAPHQL:
        return None
    if scope["method"] != "POST":
        # If a browser opens this as a page, Dagster gives an editor, and runs nothing.
        if "text/html" in headers.get("accept", ""):
            return None
        detail = "GraphQL is asked by POST."
        return HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        detail = f"GraphQL is asked by a body of type {_JSON}."
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail
    return None


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Return the host names that the settings allow; on loopback, those of loopback."""
    if _name_of(_netloc(settings.dagster_url)) in LOOPBACK_HOSTS:
        return LOOPBACK_HOSTS
    given = settings.dagster_allowed_hosts.split(",")
    return frozenset(name.strip().lower() for name in given if name.strip())


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:  # Not an address at all.
        return None


def _name_of(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return None


class GuardedWebserver(DagsterWebserver):  # type: ignore[type-arg]
    """Dagster's server behind `OwnPagesOnly`."""

    def build_middleware(self) -> list[Middleware]:
        """Put the guard before Dagster's own."""
        guard = Middleware(OwnPagesOnly, hosts=allowed_hosts(load_settings()))
        return [guard, *super().build_middleware()]


if __name__ == "__main__":
    # Dagster looks its server up by this name, and has no option for another.
    from dagster_webserver import app

    app.DagsterWebserver = GuardedWebserver  # type: ignore[attr-defined]
    main()  # type: ignore[no-untyped-call]
