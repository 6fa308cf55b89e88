"""PostgreSQL ends every connection, as when it is restarted: no upload notices."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from tests.integration.ingest.content import png
from tests.integration.ingest.sending import Client
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.uploads import POOL_CONNECTIONS
from visionops_assets.settings import Settings

OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


def test_uploads_go_on_once_postgresql_is_back(ingest: Settings, client: Client) -> None:
    uploads = [png() for _ in range(2 * POOL_CONNECTIONS)]
    with ThreadPoolExecutor(POOL_CONNECTIONS) as pool:
        list(pool.map(client.upload_raw, uploads))
        for _ in range(2):
            with Catalog().begin() as session:
                session.execute(text(f"{OTHERS} AND datname = current_database()"))
            statuses = {answer.status_code for answer in pool.map(client.upload_raw, uploads)}
            assert statuses == {201}
