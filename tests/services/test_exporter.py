from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from tests.services.asgi_client import AsgiClient
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.exporter import create_app


class CatalogThatIsDown:
    @contextmanager
    def begin(self) -> Iterator[None]:
        raise ServerUnreachableError("down")
        yield


def test_a_catalog_that_is_down_is_a_metric_and_no_error() -> None:
    client = AsgiClient(create_app(cast("Any", CatalogThatIsDown())))
    assert client.get("/healthz").status_code == 200
    response = client.get("/metrics")
    assert response.status_code == 200
    samples = [line for line in response.text.splitlines() if not line.startswith("#")]
    assert samples == ["visionops_catalog_up 0.0"]
