"""The state of a media file: its frames, how they were made, and a thumbnail."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from visionops_assets.catalog import media
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.processing import processings_of
from visionops_assets.catalog.schema import Media, Processing
from visionops_assets.contracts import Scope
from visionops_assets.errors import NotFoundError
from visionops_assets.redaction import for_clients
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.problems import problems
from visionops_assets.services.ingest.answers import (
    FrameSummary,
    MediaState,
    ProcessingState,
    Reason,
    Stats,
)
from visionops_assets.vision.headers import image_format

STATE_TAG = Tag("state", "The state of media.")

_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_THUMBNAIL: dict[str, Any] = {
    "content": {"image/png": _PICTURE, "image/jpeg": _PICTURE},
    "description": "The first frame.",
}


def state_routes(access: Access, catalog: Catalog, store: ObjectStore) -> APIRouter:
    """Return the routes that tell the state of media."""
    router = APIRouter(tags=[STATE_TAG.name])
    guard = access.require(Scope.INGEST)
    state_problems = PROTECTED | problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)

    # Only ids: /v1/media/batch is another resource, which has no GET.
    @router.get(
        "/v1/media/{media_id:uuid}", summary="The state of a file", responses=state_problems
    )
    def media_state(media_id: UUID, principal: Annotated[Principal, Depends(guard)]) -> MediaState:
        """Return the file's status, its label and its frames; if it is in quarantine, why.

        Only to the keys that sent it, and to those with the scope `admin`.
        """
        with catalog.begin() as session:
            return _state_of(session, media.get_acknowledged(session, media_id, _reader(principal)))

    @router.get(
        "/v1/media/{media_id:uuid}/thumbnail",
        summary="A small picture of a file",
        response_class=Response,
        responses=state_problems | {HTTPStatus.OK: _THUMBNAIL},
    )
    def thumbnail(media_id: UUID, principal: Annotated[Principal, Depends(guard)]) -> Response:
        """Return the first frame of the file, to those who may read its state."""
        with catalog.begin() as session:
            media.get_acknowledged(session, media_id, _reader(principal))
            encoded = first_frame(session, store, media_id)
        found = image_format(encoded)
        return Response(encoded, media_type=found.value if found else None)

    @router.get("/v1/stats", summary="Counts", dependencies=[Depends(guard)], responses=PROTECTED)
    def stats() -> Stats:
        """Count all media files by status, and all frames."""
        with catalog.begin() as session:
            return Stats(media=media.count_by_status(session), frames=media.count_frames(session))

    return router


def _reader(principal: Principal) -> str | None:
    return None if principal.may(Scope.ADMIN) else principal.name


def first_frame(session: Session, store: ObjectStore, media_id: UUID) -> bytes:
    """Return the first frame of a file, encoded, by its newest spec.

    Raises:
        NotFoundError: it has none, or its shard is gone.
    """
    frame = media.thumbnail_of(session, media_id)
    if frame is None:
        raise NotFoundError(f"Media file {media_id} has no frame. GET its state to learn why.")
    return store.get_range(frame.shard_key, frame.shard_offset, frame.frame_bytes)


def _state_of(session: Session, row: Media) -> MediaState:
    frames = [
        FrameSummary(
            frame_id=frame.frame_id,
            index=frame.frame_index,
            time_s=frame.time_s,
            spec_id=frame.spec_id,
        )
        for frame in media.frames_of(session, row.media_id)
    ]
    processed = [
        ProcessingState(
            spec_id=each.spec_id,
            parameters=spec.parameters if spec else None,
            status=each.status,
            reason=_reason(each),
            frames=each.frames,
            milliseconds=each.milliseconds,
            decoder=each.decoder,
            processed_at=each.processed_at,
        )
        for each, spec in processings_of(session, row.media_id)
    ]
    of_row = MediaState.model_fields.keys() - {"reason", "label", "frames", "processing"}
    return MediaState(
        **{name: getattr(row, name) for name in of_row},
        reason=_reason(row),
        label=media.newest_label(session, row.media_id),
        frames=frames,
        processing=processed,
    )


def _reason(row: Media | Processing) -> Reason | None:
    if not row.reason_code:
        return None
    return Reason(code=row.reason_code, detail=for_clients(row.reason_detail or ""))
