"""The HTTP face alone: requests that are refused before any server is reached."""

from pathlib import Path

import pytest

from tests.services.asgi_client import AsgiClient
from visionops_assets.services.ingest.app import create_app
from visionops_assets.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> AsgiClient:
    return AsgiClient(create_app(Settings(home=tmp_path, max_upload_bytes=1_000)))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"label": "a\0b"}, "label: must not contain NUL"),
        ({"source": "a\0b"}, "source: must not contain NUL"),
        ({"source": "a" * 1_000}, "source: "),
        ({"captured_at": "yesterday"}, "captured_at: "),
    ],
)
def test_an_unusable_field_is_a_clear_422(
    client: AsgiClient, fields: dict[str, str], named: str
) -> None:
    response = client.post("/v1/media", files={"file": b"x"}, data=fields)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["detail"].startswith(named)


def test_a_missing_file_is_a_clear_422(client: AsgiClient) -> None:
    response = client.post("/v1/media", data={"label": "7"})
    assert (response.status_code, response.json()["detail"]) == (422, "file: Field required")


def test_a_body_far_over_the_limit_is_refused_unread(client: AsgiClient) -> None:
    response = client.post("/v1/media", files={"file": b"x" * 100_000})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_media_id_must_be_one(client: AsgiClient) -> None:
    response = client.get("/v1/media/..%2Fetc")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code in {404, 422}


def test_health_and_metrics_need_no_other_server(client: AsgiClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert "visionops_uploaded_bytes_total" in client.get("/metrics").text
