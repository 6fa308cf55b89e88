"""Signs the gateway's page in and out: by an API key, or by a link that is valid once."""

import logging
from http import HTTPStatus
from typing import Annotated, Self
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request, Response
from pydantic import SecretStr, model_validator
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.sign_in import SESSION_LIFETIME, end_session, redeem
from visionops_assets.contracts import Record, Scope
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.redaction import without_credentials
from visionops_assets.services.http import cookies
from visionops_assets.services.http.access import Access, Principal
from visionops_assets.services.http.body import body_of, read_json, whole
from visionops_assets.services.http.server import LOOPBACK_HOSTS
from visionops_assets.settings import Settings, mlflow_page

_log = logging.getLogger(__name__)

SESSION_PATH = "/v1/session"
MAX_BODY_BYTES = 4 * 1024


class SignIn(Record):
    """The means by which a browser signs in: an API key, or the secret of a link."""

    key: SecretStr | None = None
    once: SecretStr | None = None

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.key is None) == (self.once is None):
            raise ValueError("either key or once")
        return self


class SignedIn(Record):
    """The facts that the page needs about the person who signed in.

    `version_url` is MLflow's page of a version, with `{version}` where its number belongs; None
    where browsers cannot reach MLflow.
    """

    name: str
    may_label: bool
    model_name: str
    version_url: str | None


def add_session_routes(
    app: FastAPI, access: Access, catalog: Catalog, settings: Settings, model_name: str
) -> None:
    """Add the routes. They are the page's own, and not part of the documented API."""

    def exchange(secret: SecretStr) -> tuple[Principal, SecretStr]:
        with catalog.begin() as session:
            row, key = redeem(session, secret.get_secret_value())
            return Principal(row.name, row.prefix, frozenset(map(Scope, row.scopes))), key

    def end(prefix: str) -> None:
        with catalog.begin() as session:
            end_session(session, prefix)

    @app.post(SESSION_PATH, include_in_schema=False)
    async def sign_in(request: Request, response: Response) -> SignedIn:
        cookies.check_same_origin(request)
        body = body_of(
            request, max_bytes=MAX_BODY_BYTES, idle_timeout_s=settings.body_idle_timeout_s
        )
        said = read_json(SignIn, await whole(body))
        if said.once is not None:
            access.count_guess(request)
            # Nothing may refuse after this: the link is used up.
            principal, key = await run_in_threadpool(exchange, said.once)
        else:
            key = SecretStr(said.key.get_secret_value().strip() if said.key else "")
            principal = await access.admit(request, key.get_secret_value(), Scope.PREDICT)
        cookies.keep(response, request, key, SESSION_LIFETIME)
        return _signed_in(principal, settings, model_name)

    @app.get(SESSION_PATH, include_in_schema=False)
    async def who_is_signed_in(
        principal: Annotated[Principal, Depends(access.require(Scope.PREDICT))],
    ) -> SignedIn:
        return _signed_in(principal, settings, model_name)

    @app.delete(SESSION_PATH, status_code=HTTPStatus.NO_CONTENT, include_in_schema=False)
    async def sign_out(
        response: Response,
        principal: Annotated[Principal, Depends(access.require(Scope.PREDICT))],
    ) -> None:
        cookies.forget(response)
        try:
            await run_in_threadpool(end, principal.prefix)
        except ServerUnreachableError:
            # A browser must not stay signed in for ever; the key expires by itself.
            _log.warning("The key of a session could not be revoked: the catalog does not answer.")


def _signed_in(principal: Principal, settings: Settings, model_name: str) -> SignedIn:
    return SignedIn(
        name=principal.name,
        may_label=principal.may(Scope.LABEL),
        model_name=model_name,
        version_url=version_url(settings, model_name),
    )


def version_url(settings: Settings, model_name: str) -> str | None:
    """Return MLflow's page of a version, if MLflow is on this machine, else None.

    On a cluster the settings hold a name that browsers do not know. Credentials that they hold are
    left out.
    """
    address = urlsplit(settings.mlflow_tracking_uri)
    if address.hostname not in LOOPBACK_HOSTS:
        return None
    page = mlflow_page(settings, f"/models/{model_name}/versions/{{version}}")
    return without_credentials(page)
