"""The shards of frames in the object store: named by their content, and read only as they were."""

from pathlib import PurePath

from visionops_assets.errors import DamagedShardError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.vision.shards import digest_of, unpack


def shard_key(spec_id: str, batch_key: str, shard: bytes) -> str:
    """Name a shard in the object store; what a batch that runs again writes has the same name."""
    return f"shards/{spec_id}/{batch_key}/{digest_of(shard)}.tar"


def read_shard(object_store: ObjectStore, key: str) -> dict[str, bytes]:
    """Read the frames of a shard, encoded, by id.

    Raises:
        DamagedShardError: it is gone, or its content is not what its name says.
        ServerUnreachableError: the store does not answer.
    """
    shard = read_whole(object_store, key)
    return {PurePath(name).stem: encoded for name, encoded in unpack(shard).items()}


def read_whole(object_store: ObjectStore, key: str) -> bytes:
    """Read the bytes of a shard; raises as `read_shard` does."""
    try:
        shard = object_store.get(key)
    except NotFoundError:
        raise shard_gone(key) from None
    if not key.endswith(f"/{digest_of(shard)}.tar"):
        raise shard_altered(key)
    return shard


def shard_gone(key: str) -> DamagedShardError:
    """Make the error of a shard that the store does not have."""
    return DamagedShardError(f"Shard {key} is gone from the store.")


def shard_altered(key: str) -> DamagedShardError:
    """Make the error of a shard whose bytes are not those that were written."""
    return DamagedShardError(f"The bytes of shard {key} are not those that were written.")
