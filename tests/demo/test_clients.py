from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from visionops_assets.client.dagster import DagsterClient
from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.media import DemoFile
from visionops_assets.errors import VisionOpsError

FILE = DemoFile("1.png", "image/png", b"png", "1")


@pytest.fixture
def sent() -> list[httpx.Request]:
    return []


@pytest.fixture
def api(sent: list[httpx.Request]) -> PublicApi:
    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.host == "gateway" and "label" in request.url.path:
            return httpx.Response(401, json={"detail": "No."})
        data = {"assetNodes": [], "runsOrError": {"results": []}}
        return httpx.Response(200, json={"data": data})

    api = PublicApi("http://ingest", "http://gateway", "http://dagster", SecretStr("secret-key"))
    transport = httpx.MockTransport(answer)
    api._http = httpx.Client(transport=transport)
    api._dagster = DagsterClient("http://dagster", transport)
    return api


def test_our_services_get_the_key_and_dagster_does_not(
    api: PublicApi, sent: list[httpx.Request]
) -> None:
    list(api.upload_all([FILE]))
    api.media("m")
    api.stats()
    api.predict(FILE)
    api.materializations(["labels"])
    api.failed_runs()
    keys = {(r.url.host, r.headers.get("authorization")) for r in sent}
    bearer = "Bearer secret-key"
    assert keys == {("ingest", bearer), ("gateway", bearer), ("dagster", None)}


def test_an_error_does_not_tell_the_key(api: PublicApi) -> None:
    with pytest.raises(VisionOpsError, match="401") as error:
        api.label_all([(uuid4(), "1")])
    assert "secret-key" not in f"{error.value} {vars(api)}"
