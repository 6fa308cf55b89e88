"""The list of our services. Whoever adds one adds it here, and runs `make manifests`.

In the order in which a machine starts them: each after those that it needs.
"""

from visionops_assets.roster.service import Address, Guard, Heartbeat, Key, Need, Pods, Service

_API_KEY = "An API key, except for health and metrics. Foreign pages are refused as well."
_NUMBERS = "Only health and metrics."

KEEPER = Service(
    name="keeper",
    says="Verifies what Triton may load, and lays it out beside it.",
    # A Triton that others run has a keeper of its own.
    heartbeat=Heartbeat(beside="triton_grpc_address"),
    needs=(Need.STORE, Need.CATALOG),
    signs=True,
    pods=None,
)
INGEST = Service(
    name="ingest",
    says="Takes media in. It does not need the queue: the relay owes the events to it.",
    addresses=(
        Address(
            number=8080,
            setting="ingest_url",
            says="The service that takes media in.",
            guard=Guard.OWN_PAGES,
            reason=_API_KEY,
            is_public=True,
        ),
    ),
    needs=(Need.STORE, Need.CATALOG),
    measured_route="/v1/media",
    # Two streams of 1.5 GiB take 188 MiB. The check of a video runs in a child process that may
    # take VISIONOPS_DECODE_MEMORY_BYTES, 2 GiB.
    pods=Pods(
        account="object-store",
        most=20,
        cpu="500m",
        memory="512Mi",
        memory_limit="3Gi",
        tmp="4Gi",
    ),
)
RELAY = Service(
    name="relay",
    says="Publishes the events that the catalog owes. Rows are locked while it does so.",
    heartbeat=Heartbeat(
        beside="ingest_url", turn_setting="sweep_interval_s", asked_every_s=30, patience_s=120
    ),
    needs=(Need.CATALOG, Need.QUEUE),
    # A batch of 500 events is a few hundred kilobytes; Python and its libraries are the rest.
    pods=Pods(account="relay", cpu="100m", memory="256Mi", memory_limit="512Mi"),
)
SWEEP = Service(
    name="sweep",
    says="Finishes or removes the remains of crashes.",
    # After a crash, a pass may have much to do, and take minutes.
    heartbeat=Heartbeat(
        beside="ingest_url", turn_setting="sweep_interval_s", silence_min=30, patience_s=1_800
    ),
    needs=(Need.STORE, Need.CATALOG),
    pods=Pods(account="object-store", cpu="50m", memory="256Mi", memory_limit="512Mi"),
)
CAMERA = Service(
    name="camera",
    says="Takes pictures of the registered cameras.",
    addresses=(
        Address(
            number=8082,
            setting="camera_url",
            says="Health and metrics of the camera service.",
            guard=Guard.OWN_PAGES,
            reason=_NUMBERS,
        ),
    ),
    needs=(Need.CATALOG, INGEST.name),
    calls=(Need.CAMERAS,),
    # Without one it makes a key by itself, as it must before anything runs that could make one.
    keys=(Key(setting="api_key", secret="visionops-camera", is_optional=True),),  # noqa: S106
    # Two at once would upload every frame of every camera twice. A child process per camera
    # decodes; size it by their number.
    pods=Pods(replicas=1, is_alone=True, cpu="1", memory="1Gi", memory_limit="4Gi", tmp="1Gi"),
)
GATEWAY = Service(
    name="gateway",
    says="Answers for the served models, by HTTP and gRPC.",
    addresses=(
        Address(
            number=8081,
            setting="gateway_url",
            says="The service that predicts over HTTP.",
            guard=Guard.OWN_PAGES,
            reason=_API_KEY,
            is_public=True,
        ),
        Address(
            number=8084,
            setting="gateway_grpc_address",
            says="The gateway's gRPC address, where Triton clients show an API key.",
            guard=Guard.CREDENTIAL,
            reason="An API key, except for health. A web page cannot speak its protocol.",
            is_public=True,
        ),
    ),
    needs=(Need.TRITON, Need.CATALOG),
    measured_route=".*/predict|.*/ModelInfer",
    # 1.3 to 1.9 ms of CPU per prediction: a core is some 500 predictions per second. Memory:
    # 512 MiB of images at the worst, as much of gRPC messages on their way, and a child process
    # that decodes one picture of the page and may take VISIONOPS_DECODE_MEMORY_BYTES, 2 GiB.
    pods=Pods(most=80, cpu="500m", memory="512Mi", memory_limit="3584Mi", tmp="256Mi"),
)
RELEASER = Service(
    name="releaser",
    says="Acts on what serves. Two do nothing twice: the catalog's lock decides who acts.",
    heartbeat=Heartbeat(beside="dagster_code_host"),
    needs=(Need.STORE, Need.CATALOG, Need.TRITON),
    # It reports to Dagster, and does without it.
    calls=(Need.DAGSTER,),
    keys=(Key(setting="triton_admin_key"),),
    signs=True,
    # It may be in the middle of a switch.
    stop_timeout_s=20,
    # It holds the files of a version, and ONNX Runtime for its golden images.
    pods=Pods(account="object-store", cpu="50m", memory="256Mi", memory_limit="1Gi"),
)
EXPORTER = Service(
    name="exporter",
    says="Shows the catalog's numbers to Prometheus.",
    addresses=(
        Address(
            number=9100,
            setting="exporter_url",
            says="Metrics that are read from the catalog.",
            guard=Guard.OWN_PAGES,
            reason=_NUMBERS,
        ),
    ),
    needs=(Need.CATALOG,),
    # Without the catalog it shows that it is away.
    ready_path="/healthz",
    # They name Dagster's jobs.
    has_own_job_label=True,
    pods=Pods(replicas=1, cpu="100m", memory="256Mi", memory_limit="512Mi", grace_s=30),
)
ALERTS = Service(
    name="alerts",
    says="Notes the alerts of Alertmanager.",
    addresses=(
        Address(
            number=8083,
            setting="alerts_url",
            says="The service to which Alertmanager sends alerts.",
            guard=Guard.OWN_PAGES,
            reason="Alertmanager's key, except for health.",
        ),
    ),
    needs=(Need.CATALOG,),
    keys=(Key(setting="alerts_key", secret="visionops-services", is_made=True),),  # noqa: S106
    pods=Pods(cpu="50m", memory="256Mi", memory_limit="512Mi", grace_s=30),
)

SERVICES: tuple[Service, ...] = (
    KEEPER,
    INGEST,
    RELAY,
    SWEEP,
    CAMERA,
    GATEWAY,
    RELEASER,
    EXPORTER,
    ALERTS,
)
