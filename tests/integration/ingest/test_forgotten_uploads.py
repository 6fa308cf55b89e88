"""What was erased on request is not taken again, from whomever and however it comes."""

import hashlib

from tests.integration.ingest.content import png
from tests.integration.ingest.sending import Client
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.forgetting import begin
from visionops_assets.catalog.schema import Media


def forgotten(client: Client, data: bytes) -> None:
    media_id = client.upload(data, source="gate").json()["media_id"]
    with Catalog().begin() as session:
        begin(session, [media_id])


def test_forgotten_content_is_refused_from_any_source(client: Client) -> None:
    data = png()
    forgotten(client, data)
    for source in ("gate", "another"):
        answer = client.upload(data, source=source)
        assert (answer.status_code, answer.json()["code"]) == (422, "forgotten")
        assert "erased on request" in answer.json()["detail"]
    with Catalog().begin() as session:
        rows = session.query(Media).filter_by(sha256=hashlib.sha256(data).hexdigest()).all()
    assert [row.status.value for row in rows] == ["forgotten"]


def test_a_forgotten_file_of_a_batch_is_refused_alone(client: Client) -> None:
    data, other = png(), png()
    forgotten(client, data)
    files = [("file", ("a.png", data, "image/png")), ("file", ("b.png", other, "image/png"))]
    answer = client.request("POST", "/v1/media/batch", files=files)
    first, second = answer.json()["results"]
    assert (answer.status_code, first["refusal"]["code"]) == (207, "forgotten")
    assert second["receipt"]["sha256"] == hashlib.sha256(other).hexdigest()
