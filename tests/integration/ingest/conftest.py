"""One stack of ingest for this folder, without Dagster: media stay `stored` here."""

import shutil
from collections.abc import Iterator

import pytest

from tests.integration.conftest import key_header, running_stack
from tests.integration.ingest.sending import Client
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings

MAX_UPLOAD_BYTES = 3_000_000


@pytest.fixture(scope="package")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("ingest")
    limits = {"MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES)}
    with running_stack(home, limits, "--only", "ingest,relay,exporter") as settings:
        yield settings
    shutil.rmtree(home)  # There are large files in it.


@pytest.fixture(scope="package")
def client(ingest: Settings) -> Client:
    return Client(ingest.ingest_url, key_header(Scope.INGEST))
