"""Labels that come with files that are stored already."""

from uuid import UUID

from psycopg.types.json import Jsonb

from visionops_assets.catalog.uploads import LABEL_ORIGIN, Connection, Description
from visionops_assets.errors import LabelForbiddenError

_ADD = """
INSERT INTO annotation (media_id, payload, model_name, origin, author)
VALUES (%(media)s, %(payload)s, %(model)s, coalesce((
    SELECT purpose FROM labelling_item JOIN labelling_batch AS asking USING (batch_id)
    WHERE media_id = %(media)s AND closed_at IS NULL AND purpose IN ('selection', 'conflicts')
        AND (%(model)s::varchar IS NULL OR asking.model_name = %(model)s)
    ORDER BY batch_id DESC LIMIT 1
), %(origin)s), %(author)s)
"""
"""A file that an open batch asks for was chosen, whichever way its label comes."""


async def add_differing_label(connection: Connection, media_id: UUID, said: Description) -> None:
    """Add a label to a media file, unless its newest one says the same; in a transaction.

    Raises:
        LabelForbiddenError: the file has another label, which this sender may not change.
    """
    # Without the lock, two equal labels that come at once would both be added. A stronger one would
    # wait for all who sent this file at the same time, and they for this one: their rows name it.
    await connection.execute("SELECT FROM media WHERE media_id = %s FOR NO KEY UPDATE", (media_id,))
    newest = await connection.execute(
        "SELECT payload, model_name FROM annotation AS given"
        " WHERE media_id = %s AND retracts IS NULL AND start_s IS NULL"
        " AND (%s::varchar IS NULL OR model_name IS NULL OR model_name = %s)"
        " AND NOT EXISTS (SELECT FROM annotation WHERE retracts = given.annotation_id)"
        " ORDER BY annotation_id DESC LIMIT 1",
        (media_id, said.model_name, said.model_name),
    )
    known = await newest.fetchone()
    is_other = known is not None and known[0] != said.annotation
    if is_other and not said.may_relabel:
        raise LabelForbiddenError(
            f"The media file {media_id} has another label. A key needs the scope 'label' to change "
            "it. Send the file without a label, or with that one."
        )
    is_for_it = known is not None and known[1] in {None, said.model_name}
    if is_other or not is_for_it:
        row = {
            "media": media_id,
            "payload": Jsonb(said.annotation),
            "model": said.model_name,
            "origin": LABEL_ORIGIN,
            "author": said.uploaded_by,
        }
        await connection.execute(_ADD, row)
