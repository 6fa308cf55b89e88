"""Brings a database to the newest schema. The steps are in `migrations/versions/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from visionops_assets.errors import ServerUnreachableError

MIGRATIONS_DIR = Path(__file__).parent / "migrations"

# A number that no other program uses in this database.
_ADVISORY_LOCK_KEY = 7_105_118_302


def alembic_config() -> Config:
    """Point Alembic at our migrations; `attributes["connection"]` is the caller's to set."""
    config = Config()
    # Alembic interpolates options: a percent sign in a path must be doubled.
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(url: str) -> None:
    """Apply the missing migrations of the catalog at `url`, all or none.

    Safe when several processes run it at once: the later ones wait, and then find it done.

    Raises:
        ServerUnreachableError: PostgreSQL does not answer, or refuses the login.
    """
    engine = create_engine(url)
    config = alembic_config()
    try:
        with engine.begin() as connection:
            # Held until the transaction ends: a killed process leaves no lock behind.
            connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _ADVISORY_LOCK_KEY})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        reason = str(error.orig).partition("\n")[0]
        raise ServerUnreachableError(
            f"The catalog at {engine.url.host}:{engine.url.port} cannot be migrated: {reason}"
        ) from error
    finally:
        engine.dispose()
