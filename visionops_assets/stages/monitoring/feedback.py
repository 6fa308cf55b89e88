"""`feedback_media`: labelled predictions become media, to train the next model on."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.feedback import Adoptable, ImageFacts, adopt, labels_to_adopt
from visionops_assets.contracts import MediaKind
from visionops_assets.contracts.payloads import text_of
from visionops_assets.errors import MediaError, NotFoundError, UnsupportedMediaError
from visionops_assets.monitoring.kept_images import read_kept_image
from visionops_assets.resources.columns import TEXT, columns, frame_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.monitoring.prediction_log import prediction_log
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import ROW_COUNT, table
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

ADOPTED_AT_ONCE = 200
READ_AT_ONCE = 16
COLUMNS = columns(
    ("label_id", "int64", "Label that was adopted."),
    ("prediction_id", TEXT, "Prediction that it was given to."),
    ("media_id", TEXT, "Media file that the kept image became."),
    ("label", TEXT, "The label."),
    ("is_new_media", "bool", "Whether the catalog did not know the file."),
    ("is_new_label", "bool", "Whether the file did not have this label."),
)
ROWS_SHOWN = 20

Images = list[tuple[Adoptable, ImageFacts]]
Unreadable = list[tuple[Adoptable, str]]


@dg.asset(
    deps=[prediction_log, "label_table"],
    group_name="monitoring",
    metadata=shown(COLUMNS),
    freshness_policy=HOURLY,
    kinds={"postgres", "s3"},
    owners=OWNERS,
)
@fail_in_words
def feedback_media(
    context: dg.AssetExecutionContext,
    catalog: dg.ResourceParam[Catalog],
    object_store: dg.ResourceParam[ObjectStore],
) -> dg.MaterializeResult[None]:
    """Labelled predictions whose images were kept, turned into media to train on.

    One row per label adopted now. The queue announces the files like uploads, so that frames,
    labels and snapshots follow. An image that cannot be read is tried again next time.
    """
    rows: list[dict[str, object]] = []
    skipped = 0
    for images, unreadable in _read_all(catalog, object_store):
        for adoptable, reason in unreadable:
            context.log.warning("Label %d is not adopted: %s", adoptable.label_id, reason)
        skipped += len(unreadable)
        rows += _adopt(catalog, images)
    adopted = frame_of(rows, COLUMNS)
    context.log.info("%d labelled predictions became media, %d did not", len(adopted), skipped)
    return dg.MaterializeResult(
        metadata={
            ROW_COUNT: len(adopted),
            "adopted_labels": len(adopted),
            "new_media": int(adopted["is_new_media"].sum()),
            "skipped": skipped,
            "newest": table(adopted.tail(ROWS_SHOWN)),
        },
    )


def _read_all(catalog: Catalog, object_store: ObjectStore) -> Iterator[tuple[Images, Unreadable]]:
    """Read the images of all labels that can be adopted, a few at a time."""
    after_label_id = 0
    read = partial(_read, object_store)
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        while True:
            with catalog.begin() as session:
                adoptables = labels_to_adopt(session, after_label_id, ADOPTED_AT_ONCE)
            if not adoptables:
                return
            found = list(zip(adoptables, pool.map(read, adoptables), strict=True))
            yield (
                [(one, facts) for one, facts in found if isinstance(facts, ImageFacts)],
                [(one, reason) for one, reason in found if isinstance(reason, str)],
            )
            after_label_id = adoptables[-1].label_id


def _read(object_store: ObjectStore, adoptable: Adoptable) -> ImageFacts | str:
    """Read the properties of a kept image, or say why it cannot be used.

    Raises:
        ServerUnreachableError: the object store does not answer.
    """
    try:
        return facts_of(read_kept_image(object_store, adoptable.object_key))
    except (NotFoundError, MediaError) as error:
        return str(error)


def facts_of(image: bytes) -> ImageFacts:
    """Read the properties of an encoded image.

    Raises:
        MediaError: it is not an image.
    """
    kind, content_type = sniff(image[:SNIFF_BYTES])
    if kind is not MediaKind.IMAGE:
        raise UnsupportedMediaError(f"{content_type} is not an image.")
    return ImageFacts(hashlib.sha256(image).hexdigest(), len(image), content_type)


def _adopt(catalog: Catalog, images: Images) -> list[dict[str, object]]:
    with catalog.begin() as session:
        adopted = adopt(session, load_settings().kafka_media_topic, images)
    by_label = {adoptable.label_id: adoptable for adoptable, _ in images}
    return [
        {
            "label_id": one.label_id,
            "prediction_id": str(by_label[one.label_id].prediction_id),
            "media_id": str(one.media_id),
            "label": text_of(by_label[one.label_id].payload),
            "is_new_media": one.is_new_media,
            "is_new_label": one.is_new_label,
        }
        for one in adopted
    ]
