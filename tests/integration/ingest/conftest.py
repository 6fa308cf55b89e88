"""One stack of ingest for this folder, without Dagster: media stay `stored` here."""

import shutil
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from tests.integration.ingest.sending import Client, replica
from tests.stacks import key_header, running_stack
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings

MAX_UPLOAD_BYTES = 3_000_000
HASTY_S = 2.0


@pytest.fixture(scope="package")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("ingest")
    # Parts of a byte, so that small files have parts.
    limits = {"MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES), "RESUMABLE_MIN_PART_BYTES": "1"}
    with running_stack(home, limits, "--only", "ingest,relay,exporter") as settings:
        yield settings
    shutil.rmtree(home)  # There are large files in it.


@pytest.fixture(scope="package")
def hasty(client: Client) -> Iterator[Client]:
    """A replica with little patience."""
    limits = {"BODY_IDLE_TIMEOUT_S": str(HASTY_S), "UPLOAD_LEASE_S": str(HASTY_S)}
    with replica(client.headers, **limits) as started:
        yield started.client


@pytest.fixture(scope="package")
def client(ingest: Settings) -> Client:
    return Client(ingest.ingest_url, key_header(Scope.INGEST))


@pytest.fixture
def session(ingest: Settings) -> Iterator[Session]:
    """Give a transaction that is rolled back."""
    with Session(Catalog().engine, expire_on_commit=False) as session:
        yield session
        session.rollback()


@pytest.fixture(scope="package")
def labeller(ingest: Settings) -> Client:
    return Client(ingest.ingest_url, key_header(Scope.LABEL))
