"""Cuts the log of a topic as a retention would: the local broker keeps each batch as an object."""

import json
from uuid import UUID

import obstore
from obstore.store import S3Store

from tests.chaos.records import Place
from visionops_assets.resources.broker import Broker
from visionops_assets.settings import Settings
from visionops_assets.stack.seaweedfs import KAFKA_BUCKET

READ_TIMEOUT_S = 30.0
MAX_EVENTS = 1_000_000
# Tansu 0.6: a file per batch, named by its first offset.
RECORDS = "clusters/tansu_cluster/topics/{topic}/partitions/0000000000/records/"


def cut_log(settings: Settings) -> list[tuple[Place, UUID]]:
    """Delete all of the media topic but its newest batch; return what lay in it.

    Raises:
        VisionOpsError: the queue does not answer.
        obstore.exceptions.BaseError: the store does not; part of it may be deleted.
    """
    store = _broker_bucket(settings)
    folder = RECORDS.format(topic=settings.kafka_media_topic)
    batches = sorted(found["path"] for page in obstore.list(store, folder) for found in page)[:-1]
    lay = _events(settings.kafka_media_topic)
    obstore.delete(store, batches)
    return lay


def _events(topic: str) -> list[tuple[Place, UUID]]:
    with Broker().reader() as reader:
        return [
            ((topic, 0, message.offset), UUID(json.loads(message.value)["event_id"]))
            for message in reader.poll(topic, 0, 0, MAX_EVENTS, READ_TIMEOUT_S)
        ]


def _broker_bucket(settings: Settings) -> S3Store:
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return S3Store(
        KAFKA_BUCKET,
        endpoint=settings.s3_endpoint_url or None,
        access_key_id=key.get_secret_value() if key else None,
        secret_access_key=secret.get_secret_value() if secret else None,
        region=settings.s3_region,
        client_options={"allow_http": True},
    )
