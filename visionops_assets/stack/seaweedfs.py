"""SeaweedFS: the S3 store of one machine."""

from visionops_assets.stack.plan import Plan, program
from visionops_assets.stack.probes import accepts_connections, answers_http
from visionops_assets.stack.server import Server

NAME = "seaweedfs"
KAFKA_BUCKET = "visionops-kafka"


def seaweedfs(plan: Plan) -> Server:
    """Describe the store. Its filer port answers without keys, hence loopback only."""
    address = plan.settings.s3_endpoint_url or "https://s3.amazonaws.com"
    if plan.is_external("s3_endpoint_url"):
        return Server(name=NAME, address=address, probe=accepts_connections(address))
    folder = plan.home / "seaweedfs"
    ports = plan.ports
    command = (
        program("weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        f"-bucket={plan.settings.s3_bucket},{KAFKA_BUCKET}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={ports['s3_grpc']}",
        f"-master.port={ports['master']}",
        f"-master.port.grpc={ports['master_grpc']}",
        f"-volume.port={ports['volume']}",
        f"-volume.port.grpc={ports['volume_grpc']}",
        f"-filer.port={ports['filer']}",
        f"-filer.port.grpc={ports['filer_grpc']}",
        # Listens even without its user interface.
        f"-admin.port={ports['admin']}",
        f"-admin.port.grpc={ports['admin_grpc']}",
    )
    return Server(
        name=NAME,
        address=address,
        command=command,
        env=plan.s3_credentials,
        prepare=lambda: folder.mkdir(exist_ok=True, mode=0o700),
        probe=answers_http(f"{address}/healthz"),
        stop_timeout_s=10,
    )
