"""Doubted labels become questions, once, on the real PostgreSQL."""

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.integration.ingest.test_labels import file_with_a_frame
from visionops_assets.catalog.doubted import doubted_subjects
from visionops_assets.catalog.labelling import Subject
from visionops_assets.catalog.schema import AnnotationRow, Frame, Media
from visionops_assets.contracts import MediaKind, Purpose

CAT = {"label": "cat"}


def frame_of(session: Session, media_id: UUID) -> Frame:
    return session.scalars(select(Frame).where(Frame.media_id == media_id)).one()


def test_frames_are_asked_about_in_their_order_until_somebody_answered(session: Session) -> None:
    model = uuid4().hex
    image, video, answered, other = (file_with_a_frame(session) for _ in range(4))
    session.get_one(Media, video).kind = MediaKind.VIDEO
    frames = {media_id: frame_of(session, media_id) for media_id in (image, video, answered, other)}
    frames[video].time_s = 3.0
    for media_id, of in {answered: model, other: uuid4().hex, image: None}.items():
        origin = "upload" if media_id == image else Purpose.CONFLICTS.value
        session.add(
            AnnotationRow(
                media_id=media_id,
                payload=CAT,
                model_name=of,
                origin=origin,
                author="a",
            )
        )
    session.flush()
    keys = [frames[media_id].frame_id for media_id in (video, other, answered, image)]
    assert doubted_subjects(session, model, [*keys, uuid4()], 2.0) == [
        Subject(media_id=video, start_s=3.0, end_s=5.0),
        Subject(media_id=other),
        Subject(media_id=image),
    ]
