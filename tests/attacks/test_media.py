"""Keys of ingest against each other: media belong to those who sent them."""

import base64
import time
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from tests.integration.ingest.content import png
from tests.integration.ingest.observing import kept
from tests.integration.ingest.sending import TUS, Client
from tests.stacks import key_header, visionops
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaKind, Scope
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.camera.backlog import Capture
from visionops_assets.services.camera.ingest import IngestUploads
from visionops_assets.settings import Settings


@pytest.fixture
def owner(stack: Settings) -> Client:
    return Client(stack.ingest_url, key_header(Scope.INGEST))


@pytest.fixture
def stranger(stack: Settings) -> Client:
    return Client(stack.ingest_url, key_header(Scope.INGEST))


def test_media_of_another_key_are_not_found(owner: Client, stranger: Client) -> None:
    """Read another key's media: 404, as of one that is not there; only `admin` reads all."""
    path = f"/v1/media/{owner.upload(png(), source='mine', label='cat').json()['media_id']}"
    answer = stranger.request("GET", path)
    nothing = stranger.request("GET", f"/v1/media/{uuid4()}")
    assert answer.status_code == nothing.status_code == 404
    assert answer.json()["code"] == nothing.json()["code"]
    assert owner.request("GET", path).json()["label"] == "cat"
    admin = Client(owner.url, key_header(Scope.ADMIN))
    assert admin.request("GET", path).json()["source"] == "mine"


def test_who_sends_the_same_bytes_reads_the_same_file(owner: Client, stranger: Client) -> None:
    """Send another key's bytes: the same file, read by both, only if the source is the same."""
    data = png()
    first = owner.upload(data, source="shared").json()
    assert stranger.upload(data, source="other").json()["media_id"] != first["media_id"]
    assert stranger.request("GET", f"/v1/media/{first['media_id']}").status_code == 404
    again = stranger.upload(data, source="shared").json()
    assert (again["media_id"], again["duplicate"]) == (first["media_id"], True)
    assert stranger.request("GET", f"/v1/media/{first['media_id']}").status_code == 200


@pytest.mark.parametrize("way", ["form", "raw", "batch", "tus"])
def test_a_label_is_not_replaced_without_the_scope(
    owner: Client, stranger: Client, way: str
) -> None:
    """Replace a label by sending the same bytes again: 403 without the scope `label`."""
    data, said = png(), {"source": "gate", "label": "dog"}
    first = owner.upload(data, source="gate", label="cat").json()
    for sender in (owner, stranger):
        match way:
            case "form":
                answer = sender.upload(data, **said)
            case "raw":
                answer = sender.upload_raw(data, None, **said)
            case "batch":
                answer = sender.upload_batch([("a.png", data)], None, **said)
            case _:
                metadata = ",".join(
                    f"{name} {base64.b64encode(value.encode()).decode()}"
                    for name, value in said.items()
                )
                answer = sender.patch(sender.begin(len(data), metadata), 0, data)
        assert (answer.status_code, answer.json()["code"]) == (403, "label_forbidden")
    assert owner.state(first["media_id"])["label"] == "cat"
    labeller = Client(owner.url, key_header(Scope.INGEST, Scope.LABEL))
    assert labeller.upload(data, **said).status_code == 201
    assert owner.state(first["media_id"])["label"] == "dog"


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
def test_a_batch_of_too_many_files(
    stranger: Client, record_property: Any, is_chunked: bool
) -> None:
    """Send 1,000 files of 20 kB in one batch: refused within 4 s, before one of them is stored."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    parts = [part + png(20_000) + b"\r\n" for _ in range(1_000)] + [b"--b--\r\n"]
    before, begun_s = kept(), time.monotonic()
    answer = stranger.request(
        "POST",
        "/v1/media/batch",
        content=iter(parts) if is_chunked else b"".join(parts),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    took_s = time.monotonic() - begun_s
    record_property("refused after s", round(took_s, 2))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "more than 500" in answer.json()["detail"]
    assert took_s < 4
    assert kept() == before


@pytest.mark.parametrize("way", ["form", "query", "tus"])
def test_labels_that_only_look_alike(owner: Client, way: str) -> None:
    """Label by signs that nobody sees: 422; two spellings of one word are one label."""

    def labelled(label: str) -> httpx.Response:
        match way:
            case "form":
                return owner.upload(png(), label=label)
            case "query":
                return owner.upload_raw(png(), label=label)
        data, sent = png(), base64.b64encode(label.encode()).decode()
        headers = TUS | {"Upload-Length": str(len(data)), "Upload-Metadata": f"label {sent}"}
        begun = owner.request("POST", "/v1/uploads", headers=headers)
        return owner.patch(begun.headers["Location"], 0, data) if begun.is_success else begun

    for unseen in ("ca\N{ZERO WIDTH SPACE}t", "cat\N{ZERO WIDTH JOINER}", "\N{SOFT HYPHEN}cat"):
        answer = labelled(unseen)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    spelled = [labelled(unicodedata.normalize(form, "kaf\u00e9")) for form in ("NFC", "NFD")]
    ids = [a.headers.get("Visionops-Media-Id") or a.json()["media_id"] for a in spelled]
    assert {owner.state(media_id)["label"] for media_id in ids} == {"kaf\u00e9"}


@pytest.mark.parametrize("way", ["label", "folder", "camera"])
def test_labels_of_imports_and_cameras_that_only_look_alike(
    stack: Settings, tmp_path: Path, way: str
) -> None:
    """Import and film by two spellings of one word: they are one label, of one source."""
    admin = Client(stack.ingest_url, key_header(Scope.ADMIN))
    spellings = [unicodedata.normalize(form, "kaf\u00e9") for form in ("NFC", "NFD")]
    name = f"gate-{uuid4().hex[:8]}"
    kept: list[tuple[str, str]] = []
    for label in spellings:
        if way == "camera":
            capture = Capture(MediaKind.IMAGE, datetime.now(UTC), png())
            uploads = IngestUploads(stack, Catalog())
            ids = [str(uploads.upload(name, capture, label).media_id)]
            uploads._keyed_client().close()
        else:
            folder = tmp_path / uuid4().hex / label
            folder.mkdir(parents=True)
            (folder / "a.png").write_bytes(png())
            options = ["--label", label] if way == "label" else ["--label-by-folder"]
            origin, source = str(folder.parent), f"{name}-{label}"
            done = visionops("import", origin, "--source", source, *options, "--json")
            assert done.returncode == 0, done.stderr
            with Catalog().begin() as session:
                named = Media.source == unicodedata.normalize("NFC", source)
                ids = [str(each) for each in session.scalars(select(Media.media_id).where(named))]
        kept += [(admin.state(each)["label"], admin.state(each)["source"]) for each in ids]
    assert {label for label, _ in kept} == {"kaf\u00e9"}
    assert len({source for _, source in kept}) == 1


def test_a_large_file_does_not_come_by_the_byte(owner: Client) -> None:
    """Send a file in parts of a byte: each is refused, and leaves no object and no row."""
    data = png(1_000_000)
    path = owner.begin(len(data))
    codes = {owner.patch(path, 0, data[:1]).status_code for _ in range(20)}
    assert codes == {422}
    assert owner.offset(path) == 0
    assert ObjectStore().list_keys(f"uploads/{path.rpartition('/')[2]}") == []


def test_a_key_cannot_open_uploads_without_end(stranger: Client) -> None:
    """Begin one upload after the other: 429 once the key has as many open as it may."""
    begin = {"headers": TUS | {"Upload-Length": "1000"}}
    answers = [stranger.request("POST", "/v1/uploads", **begin) for _ in range(101)]
    assert [answer.status_code for answer in answers] == [201] * 100 + [429]
    assert answers[-1].json()["code"] == "quota_exceeded"


def test_the_first_label_comes_with_a_later_upload(owner: Client, stranger: Client) -> None:
    """Label an unlabelled file by sending it again: the scope `ingest` is enough, once."""
    data = png()
    first = owner.upload(data, source="plain").json()
    assert stranger.upload(data, source="plain", label="cat").status_code == 201
    assert owner.upload(data, source="plain", label="dog").status_code == 403
    assert owner.state(first["media_id"])["label"] == "cat"
