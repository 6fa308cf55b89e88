"""The alerts service: notes the alerts of Alertmanager in the catalog.

`python -m visionops_assets.services.alerts`. An acknowledged alert is stored. Dagster's sensor
`alert_calls` starts the job that it asks for.
"""

import asyncio
import hmac
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from visionops_assets.catalog.alerts import ToldAlert, note_alerts
from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import UnauthenticatedError
from visionops_assets.services.http.access import presented_key
from visionops_assets.services.http.api_pages import Tag, create_api
from visionops_assets.services.http.body import body_of, read_json, whole
from visionops_assets.services.http.health import catalog_check, install_health
from visionops_assets.services.http.problems import install_problem_handlers, problems
from visionops_assets.services.http.request_metrics import (
    MetricsMiddleware,
    RequestMetrics,
    service_registry,
)
from visionops_assets.services.http.server import RequestLog, serve
from visionops_assets.settings import Settings, load_settings

DESCRIPTION = """
Takes notifications of [Alertmanager][1] (its webhook receiver, format 4) and notes their alerts.
Some alerts start a job in Dagster.

**Key.** Send the one key of `VISIONOPS_ALERTS_KEY` as `Authorization: Bearer KEY`. Without that
setting nobody is let in.

[1]: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""
_ALERTS = Tag("alerts", "Notifications of Alertmanager.")
MAX_BODY_BYTES = 4 * 1024**2

EXAMPLE = {
    "version": "4",
    "alerts": [
        {
            "status": "resolved",
            "labels": {"alertname": "GatewayOverloaded", "severity": "warning"},
            "annotations": {"summary": "The gateway refuses predictions."},
            "startsAt": "2026-01-31T12:00:00Z",
            "endsAt": "2026-01-31T12:05:00Z",
            "fingerprint": "b9e4a1c3d5f60718",
        }
    ],
}
# PostgreSQL stores no NUL, not even in JSON.
Text = Annotated[str, StringConstraints(max_length=8_192, pattern=r"^[^\x00]*$")]
_PROBLEMS = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class WebhookAlert(BaseModel):
    """One alert of a notification. A firing alert has an end too, but it means nothing."""

    status: Literal["firing", "resolved"]
    labels: dict[Text, Text]
    annotations: dict[Text, Text] = Field(default_factory=dict)
    # Strict: only text, no number of seconds.
    starts_at: AwareDatetime = Field(alias="startsAt", strict=True)
    ends_at: AwareDatetime = Field(alias="endsAt", strict=True)
    fingerprint: str = Field(pattern=r"^[0-9a-f]{1,64}$")

    def told(self) -> ToldAlert:
        """Return it as the catalog notes it."""
        ends_at: datetime | None = self.ends_at if self.status == "resolved" else None
        name = self.labels.get("alertname", "unnamed")
        return ToldAlert(
            self.fingerprint, name, self.labels, self.annotations, self.starts_at, ends_at
        )


class Webhook(BaseModel):
    """A notification of Alertmanager's webhook receiver, format 4. Unused fields are ignored.

    https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
    """

    version: Literal["4"]
    alerts: list[WebhookAlert]


class Noted(BaseModel, json_schema_extra={"examples": [{"alerts": 1}]}):
    """Acknowledges a notification: this number of alerts is stored."""

    alerts: int


class BearerKey(HTTPBearer):
    """The dependency of a route: the one key, compared in constant time. Without it, nobody may."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(description="VISIONOPS_ALERTS_KEY", auto_error=False)
        self._key = settings.alerts_key

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Let the request pass.

        Raises:
            UnauthenticatedError: it does not show the key, or no key is set.
        """
        presented = (presented_key(request) or "").encode()
        expected = self._key.get_secret_value().encode() if self._key else b""
        if not (hmac.compare_digest(presented, expected) and expected):
            raise UnauthenticatedError(
                "This needs the key of VISIONOPS_ALERTS_KEY, as `Authorization: Bearer KEY`."
            )


def create_app(catalog: Catalog, settings: Settings) -> FastAPI:
    """Build the application. Nothing is connected before the first request."""
    app = create_api("VisionOps alerts", DESCRIPTION, [_ALERTS])
    registry = service_registry()
    install_problem_handlers(app)
    app.add_middleware(MetricsMiddleware, metrics=RequestMetrics("alerts", registry))
    app.add_middleware(RequestLog)
    install_health(app, {"the catalog": catalog_check(catalog)})

    @app.get("/metrics", response_class=Response, include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.post(
        "/v1/alerts",
        tags=[_ALERTS.name],
        summary="Tell of alerts",
        dependencies=[Depends(BearerKey(settings))],
        responses=_PROBLEMS,
        openapi_extra=_described_body(),
    )
    async def take(request: Request) -> Noted:
        """Note a notification of Alertmanager; after a 200 it is stored.

        The same one, sent again, changes nothing.
        """
        pieces = body_of(
            request, max_bytes=MAX_BODY_BYTES, idle_timeout_s=settings.body_idle_timeout_s
        )
        told = [alert.told() for alert in read_json(Webhook, await whole(pieces)).alerts]

        def note() -> None:
            with catalog.begin() as session:
                note_alerts(session, told)

        await asyncio.to_thread(note)
        return Noted(alerts=len(told))

    return app


def _described_body() -> dict[str, Any]:
    """Describe the body for OpenAPI: the route reads it itself, after the key was checked."""
    schema = Webhook.model_json_schema()
    # References would be resolved from the root of the whole document.
    schema["properties"]["alerts"]["items"] = schema.pop("$defs")["WebhookAlert"]
    content = {"application/json": {"schema": schema, "example": EXAMPLE}}
    return {"requestBody": {"required": True, "content": content}}


def application(settings: Settings) -> FastAPI:
    """Build what it serves. It connects to the catalog at the first request."""
    return create_app(Catalog(), settings)


def main() -> None:
    """Listen until SIGTERM."""
    settings = load_settings()
    serve(application(settings), settings.alerts_url)


if __name__ == "__main__":
    main()
