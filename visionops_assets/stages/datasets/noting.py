"""Notes the members of snapshots in the catalog, where files are traced to all that hold them."""

import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.members import note_members, unnoted_snapshots
from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import read_members


def note_snapshots(
    catalog: Catalog, object_store: ObjectStore, model_name: str, known: dict[str, pd.DataFrame]
) -> list[str]:
    """Note the members of all snapshots of a model that are not noted yet, the oldest first.

    Those of versions before, and one whose run was killed, are read from the object store; `known`
    has the members of some by their ids. Each is a transaction of its own, so that what is done
    stays done.

    Returns:
        Why some could not be read. They are tried again with the next snapshot.
    """
    with catalog.begin() as session:
        waiting = [each.snapshot_id for each in unnoted_snapshots(session, model_name)]
    problems = []
    for snapshot_id in waiting:
        try:
            members = known.get(snapshot_id)
            if members is None:
                members = read_members(object_store, snapshot_id)
        except (NotFoundError, DamagedArtifactError) as error:
            problems.append(f"{snapshot_id}: {error}")
            continue
        sides = zip(members["frame_id"], members["split"], strict=True)
        with catalog.begin() as session:
            note_members(session, snapshot_id, ((str(a), str(b)) for a, b in sides))
    return problems
