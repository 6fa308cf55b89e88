"""Brings the catalog to its newest schema. Safe to run again, and by several at once."""

from visionops_assets.catalog import migrate
from visionops_assets.settings import load_settings


def main() -> None:
    """Prepare the database."""
    migrate.upgrade(load_settings().postgres_url.get_secret_value())


if __name__ == "__main__":
    main()
