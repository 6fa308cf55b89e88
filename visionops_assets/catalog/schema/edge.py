"""Media files on their way in, the events owed for them, and who may send them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base
from visionops_assets.contracts import MediaKind, MediaStatus

LAST_NAME = "split_part(filename, '/', -1)"
"""The last part of a file's name, as SQL."""


class Media(Base):
    """One media file. Its row (the intent) is written before its first byte."""

    __tablename__ = "media"
    __table_args__ = (
        # Content is stored once per source; uploads under way do not know their hash yet.
        Index(
            "uq_media_source_sha256",
            "source",
            "sha256",
            unique=True,
            postgresql_where=text("status <> 'receiving'"),
        ),
        Index("ix_media_status_lease_expires_at", "status", "lease_expires_at"),
        Index("ix_media_last_name", text(LAST_NAME)),
    )

    media_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[MediaStatus]
    source: Mapped[str]
    filename: Mapped[str | None] = mapped_column(comment="As the client said; display only.")
    object_key: Mapped[str] = mapped_column(unique=True)
    attempt: Mapped[int] = mapped_column(default=1, comment="Fences a stale writer.")
    lease_expires_at: Mapped[datetime]
    captured_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    stored_at: Mapped[datetime | None]
    processed_at: Mapped[datetime | None]
    kind: Mapped[MediaKind | None]
    content_type: Mapped[str | None]
    sha256: Mapped[str | None] = mapped_column(index=True)
    bytes: Mapped[int | None]
    reason_code: Mapped[str | None] = mapped_column(comment="Why it is quarantined.")
    reason_detail: Mapped[str | None]
    announcement: Mapped[int] = mapped_column(
        server_default="1", comment="How often it was to be processed; makes the event's id."
    )
    name_mismatch: Mapped[bool] = mapped_column(
        server_default=false(), comment="The file name claims another type than the content has."
    )
    uploaded_by: Mapped[str | None] = mapped_column(comment="Name of the API key.")


class MediaUploader(Base):
    """A key that sent the bytes of a media file from its source, and so may read what it is."""

    __tablename__ = "media_uploader"

    media_id: Mapped[UUID] = mapped_column(ForeignKey("media.media_id"), primary_key=True)
    key_name: Mapped[str] = mapped_column(primary_key=True, comment="Name of the API key.")


class Acknowledgement(Base):
    """The answer to a request with an Idempotency-Key; the same request gets it again."""

    __tablename__ = "acknowledgement"

    owner: Mapped[str] = mapped_column(primary_key=True, comment="Name of the API key.")
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(comment="SHA-256 of what the request said.")
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class ResumableUpload(Base):
    """An upload in parts. The bytes lie under `uploads/<upload_id>/` until it is complete."""

    __tablename__ = "resumable_upload"
    __table_args__ = (
        Index("ix_resumable_upload_open", "owner", postgresql_where=text("receipt IS NULL")),
    )

    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(comment="Name of the API key.")
    total_bytes: Mapped[int]
    # Of versions before `resumable_part`, which may run beside this one during an upgrade.
    offset_bytes: Mapped[int] = mapped_column(
        server_default="0", comment="So many are stored; total when complete."
    )
    part_keys: Mapped[list[str]] = mapped_column(
        server_default="[]", comment="Object keys, in the order of the bytes."
    )
    description: Mapped[dict[str, Any]] = mapped_column(comment="What the client says of it.")
    receipt: Mapped[dict[str, Any] | None] = mapped_column(comment="The answer, once complete.")
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ResumablePart(Base):
    """One stored part of a resumable upload; each begins where the one before it ends."""

    __tablename__ = "resumable_part"

    upload_id: Mapped[UUID] = mapped_column(
        ForeignKey("resumable_upload.upload_id", ondelete="CASCADE"), primary_key=True
    )
    start_offset: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    end_offset: Mapped[int] = mapped_column(comment="Exclusive.")
    object_key: Mapped[str]


class ApiKey(Base):
    """A key of a client. Only its SHA-256 is kept: the key has 256 random bits."""

    __tablename__ = "api_key"

    prefix: Mapped[str] = mapped_column(primary_key=True, comment="Public: shown and logged.")
    name: Mapped[str] = mapped_column(index=True, comment="Whose it is; the same after rotation.")
    secret_sha256: Mapped[str]
    scopes: Mapped[list[str]]
    rate_limit: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SignInLink(Base):
    """A link that signs a browser in, once. Only its SHA-256 is kept: it has 256 random bits."""

    __tablename__ = "sign_in_link"

    secret_sha256: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    key_prefix: Mapped[str | None] = mapped_column(comment="Of the key that it was exchanged for.")


class Camera(Base):
    """A stream that the camera service cuts into media."""

    __tablename__ = "camera"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(comment="May hold a password: never shown whole.")
    settings: Mapped[dict[str, Any]] = mapped_column(comment="How it is cut.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Outbox(Base):
    """An event that is owed to the queue, written together with the state it announces."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_unpublished", "outbox_id", postgresql_where=text("published_at IS NULL")),
    )

    outbox_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    topic: Mapped[str]
    message_key: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]
