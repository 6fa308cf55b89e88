"""Brings the catalog to its newest schema, and makes what Triton wants to find.

Safe to run again, and by several at once.
"""

from visionops_assets.catalog import migrate
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import load_settings


def main() -> None:
    """Prepare the database and the bucket."""
    migrate.upgrade(load_settings().postgres_url.get_secret_value())
    # Triton refuses a model repository that does not exist, and a prefix exists by its objects.
    ObjectStore().put("triton/.keep", b"")


if __name__ == "__main__":
    main()
