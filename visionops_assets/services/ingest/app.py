"""The HTTP face of ingest: uploads, the state of one file, counts, health, metrics.

Handlers are plain functions, which the framework runs in its pool of threads.
"""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, File, Form, Response, UploadFile
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from sqlalchemy.orm import Session

from visionops_assets.catalog import media
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import MediaKind, MediaStatus, Record
from visionops_assets.errors import VisionOpsError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http_server import FORM_OVERHEAD_BYTES, BodyLimit, RequestLog
from visionops_assets.services.ingest.fields import UtcTime, display_name
from visionops_assets.services.ingest.upload import UploadRequest, Uploads
from visionops_assets.services.problems import install_problem_handlers
from visionops_assets.services.text import PlainText
from visionops_assets.settings import Settings

UPLOADS = Counter(
    "visionops_uploads", "Uploads by outcome: stored, duplicate, or why not.", ["outcome"]
)
UPLOADED_BYTES = Counter("visionops_uploaded_bytes", "Bytes of media that were acknowledged.")
UPLOAD_SECONDS = Histogram(
    "visionops_upload_seconds", "From the whole body received to the acknowledgement."
)


class UploadReceipt(Record):
    """Answer to an upload."""

    media_id: UUID
    sha256: str
    kind: MediaKind
    bytes: int
    duplicate: bool


class FrameSummary(Record):
    """One processed frame; `time_s` counts from the start of the video."""

    frame_id: UUID
    index: int
    time_s: float
    spec_id: str


class Reason(Record):
    """Why a media file is in quarantine."""

    code: str
    detail: str


class MediaState(Record):
    """What became of one media file."""

    media_id: UUID
    status: MediaStatus
    kind: MediaKind
    sha256: str
    bytes: int
    source: str
    filename: str | None
    captured_at: datetime
    reason: Reason | None
    label: str | None
    frames: list[FrameSummary]


class Stats(Record):
    """Counts over the whole catalog."""

    media: dict[MediaStatus, int]
    frames: int


def create_app(settings: Settings) -> FastAPI:
    """Build the application. Nothing is connected before the first request."""
    app = FastAPI(title="VisionOps ingest", description=__doc__)
    install_problem_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes + FORM_OVERHEAD_BYTES)
    app.add_middleware(RequestLog)
    catalog = Catalog()
    _add_media_routes(app, catalog, Uploads(settings, catalog, ObjectStore()))
    _add_operator_routes(app, catalog)
    return app


def _add_media_routes(app: FastAPI, catalog: Catalog, uploads: Uploads) -> None:
    @app.post("/v1/media", status_code=201)
    def upload_media(
        file: Annotated[UploadFile, File(description="An image or a video.")],
        source: Annotated[PlainText, Form(description="Where it comes from.")] = "upload",
        captured_at: Annotated[
            UtcTime | None, Form(description="ISO 8601; UTC if it names no zone; default now.")
        ] = None,
        label: Annotated[PlainText | None, Form(description="What it shows.")] = None,
    ) -> UploadReceipt:
        """Store a media file. After a 201 it will be processed, whatever crashes."""
        request = UploadRequest(
            source=source,
            filename=display_name(file.filename),
            captured_at=captured_at or datetime.now(UTC),
            label=label,
        )
        return _receive(uploads, request, file)

    @app.get("/v1/media/{media_id}")
    def media_state(media_id: UUID) -> MediaState:
        """Tell what became of a media file."""
        with catalog.begin() as session:
            return _state_of(session, media_id)


def _receive(uploads: Uploads, request: UploadRequest, file: UploadFile) -> UploadReceipt:
    try:
        with UPLOAD_SECONDS.time():
            receipt = uploads.receive(request, file.file)
    except VisionOpsError as error:
        UPLOADS.labels(error.code).inc()
        raise
    UPLOADS.labels("duplicate" if receipt.duplicate else "stored").inc()
    UPLOADED_BYTES.inc(receipt.content.bytes)
    return UploadReceipt(
        media_id=receipt.media_id,
        sha256=receipt.content.sha256,
        kind=receipt.content.kind,
        bytes=receipt.content.bytes,
        duplicate=receipt.duplicate,
    )


def _state_of(session: Session, media_id: UUID) -> MediaState:
    row = media.get_acknowledged(session, media_id)
    frames = [
        FrameSummary(
            frame_id=frame.frame_id,
            index=frame.frame_index,
            time_s=frame.time_s,
            spec_id=frame.spec_id,
        )
        for frame in media.frames_of(session, media_id)
    ]
    reason = {"code": row.reason_code, "detail": row.reason_detail} if row.reason_code else None
    return MediaState.model_validate(
        {
            "media_id": media_id,
            "status": row.status,
            "kind": row.kind,
            "sha256": row.sha256,
            "bytes": row.bytes,
            "source": row.source,
            "filename": row.filename,
            "captured_at": row.captured_at,
            "reason": reason,
            "label": media.newest_label(session, media_id),
            "frames": frames,
        }
    )


def _add_operator_routes(app: FastAPI, catalog: Catalog) -> None:
    @app.get("/v1/stats")
    def stats() -> Stats:
        """Count media files by status, and frames."""
        with catalog.begin() as session:
            return Stats(media=media.count_by_status(session), frames=media.count_frames(session))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Say that the process answers; it reaches for no other server."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Show the counters of this process, for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
