"""SeaweedFS: the S3 store of one machine."""

from pathlib import Path

from visionops_assets.stack.certificates import certificate_environment, write_certificate
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.plan import Plan, program
from visionops_assets.stack.probes import accepts_connections, answers_http, takes_objects
from visionops_assets.stack.server import Server

NAME = "seaweedfs"
KAFKA_BUCKET = "visionops-kafka"
_HOST = "127.0.0.1"


def seaweedfs(plan: Plan) -> Server:
    """Describe the store. S3 demands its keys, every other port the store's own certificate."""
    address = plan.settings.s3_endpoint_url or "https://s3.amazonaws.com"
    if plan.is_external("s3_endpoint_url"):
        return Server(name=NAME, address=address, probe=accepts_connections(address))
    folder = plan.home / "seaweedfs"
    certificate = Paths(plan.home).run / "store.pem"
    ports = plan.ports
    command = (
        program("weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        f"-ip={_HOST}",
        f"-ip.bind={_HOST}",
        # It lies in the working folder, which is private: other folders are shared by all users.
        "-filer.localSocket=filer.sock",
        "-s3.localSocket=s3.sock",
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
        f"-admin.port={ports['admin']}",
        f"-admin.port.grpc={ports['admin_grpc']}",
    )
    return Server(
        name=NAME,
        address=address,
        command=command,
        env=plan.s3_credentials | certificate_environment(certificate),
        prepare=lambda: _prepare(folder, certificate),
        probe=answers_http(f"{address}/healthz"),
        works=takes_objects(folder, plan.settings.s3_bucket, address, plan.s3_credentials),
        patience_s=120,
        stop_timeout_s=10,
    )


def _prepare(folder: Path, certificate: Path) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    write_certificate(certificate, [_HOST])
