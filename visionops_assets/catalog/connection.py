"""The way into the catalog: one engine per process, one session per transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from visionops_assets.errors import ServerUnreachableError
from visionops_assets.settings import load_settings

LIVENESS: Mapping[str, int | str] = {
    # Of a server that hangs: its kernel goes on accepting connections.
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10000",
}
"""Let each side of a connection find out, in some 10 s, that the host of the other has vanished.

Such a host does not end its connections: PostgreSQL would keep its transactions, and their locks,
for the two hours of the kernel's own keep-alives.
"""


@cache
def _engine(url: str) -> Engine:
    return create_engine(
        url, pool_pre_ping=True, pool_size=10, max_overflow=10, connect_args=dict(LIVENESS)
    )


class Catalog:
    """The Postgres catalog. The URL holds a password, so it comes from the settings only."""

    @property
    def engine(self) -> Engine:
        """Return the connection pool of the process."""
        return _engine(load_settings().postgres_url.get_secret_value())

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open one transaction: committed at the end of the block, rolled back on an error.

        Raises:
            ServerUnreachableError: PostgreSQL does not answer.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            reason = str(error.orig).partition("\n")[0].rstrip(". ")
            raise ServerUnreachableError(
                f"The catalog at {self.engine.url.host}:{self.engine.url.port} does not answer: "
                f"{reason}."
            ) from error
