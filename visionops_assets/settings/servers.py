"""Settings of the servers: their addresses and credentials."""

import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from visionops_assets.settings.services import ServiceSettings


def _of_networks(text: str) -> str:
    """Return a list of networks; the HTTP server would take anything else for a name, or for all.

    Raises:
        ValueError: a part is no network, or is every address.
    """
    for part in text.split(",") if text else ():
        if ip_network(part.strip()).prefixlen == 0:
            raise ValueError(f"{part.strip()} is every address: whoever connects would be believed")
    return text


class ServerSettings(ServiceSettings):
    """Addresses and credentials."""

    s3_endpoint_url: str | None = Field(
        "http://127.0.0.1:8333", description="S3 endpoint; empty for Amazon S3 itself."
    )
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_bucket: str = Field(
        "visionops", description="Bucket that holds media, frames, snapshots and models."
    )
    s3_access_key_id: SecretStr | None = Field(
        None,
        description="Key id for the bucket. Without one, AWS' default chain (roles, profiles) is "
        "used.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, description="Secret that belongs to that key id."
    )
    s3_erasure_access_key_id: SecretStr | None = Field(
        None,
        description="Key id by which erasure removes objects with all their versions. Without one, "
        "the usual credentials are used.",
    )
    s3_erasure_secret_access_key: SecretStr | None = Field(
        None, description="Secret that belongs to the key id of erasure."
    )
    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092", description="Kafka brokers as host:port, comma-separated."
    )
    kafka_idempotent_producer: bool = Field(
        True,
        description="Whether producers are idempotent. Leave it on with Apache Kafka. `visionops "
        "up` turns it off: its broker loses acknowledged records of idempotent producers when "
        "killed.",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        description="How brokers are spoken to: SSL encrypts and tells a genuine broker, SASL says "
        "who asks.",
    )
    kafka_sasl_mechanism: (
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"] | None
    ) = Field(
        None,
        description="How it is said who asks. AWS_MSK_IAM needs no user: it takes AWS' default "
        "chain (roles, profiles) and AWS_DEFAULT_REGION.",
    )
    kafka_user: str | None = Field(None, description="User of the queue, for PLAIN and SCRAM.")
    kafka_password: SecretStr | None = Field(None, description="Password of that user.")
    kafka_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the brokers' certificates. Default: "
        "those that this machine trusts.",
    )
    kafka_certificate_file: Path | None = Field(
        None, description="PEM file of the certificate by which a client is known, if brokers ask."
    )
    kafka_key_file: Path | None = Field(
        None, description="PEM file of that certificate's private key, without a passphrase."
    )
    kafka_media_topic: str = Field("media", description="Topic that announces stored media.")
    kafka_predictions_topic: str = Field(
        "predictions", description="Topic that records each prediction."
    )
    kafka_dead_letter_topic: str = Field(
        "dead-letter", description="Topic of messages that cannot be handled, and why."
    )
    postgres_url: SecretStr = Field(
        SecretStr("postgresql+psycopg://visionops@127.0.0.1:5432/visionops"),
        description="SQLAlchemy URL of the catalog.",
    )
    dagster_postgres_url: SecretStr = Field(
        SecretStr("postgresql+psycopg2://visionops@127.0.0.1:5432/dagster"),
        description="SQLAlchemy URL of Dagster's storage. It must name psycopg2: the run storage "
        "fails on psycopg 3.",
    )
    mlflow_tracking_uri: str = Field(
        "http://127.0.0.1:5000", description="MLflow, which keeps training runs and versions."
    )
    triton_grpc_address: str = Field(
        "127.0.0.1:8001", description="Triton's gRPC address, which clients and releases use."
    )
    triton_http_url: str = Field(
        "http://127.0.0.1:8000", description="Triton's HTTP address, which probes use."
    )
    triton_metrics_url: str = Field(
        "http://127.0.0.1:8002/metrics", description="Triton's metrics, which Prometheus reads."
    )
    triton_admin_key: SecretStr | None = Field(
        None,
        description="Key of everything in Triton but predictions, metadata and health; by HTTP, of "
        "everything but health.",
    )
    triton_replica_addresses: str = Field(
        "",
        description="gRPC addresses of every Triton server, comma-separated: releases reach all. "
        "A name stands for every address it resolves to, as that of a headless Service does. "
        "Empty: the one of VISIONOPS_TRITON_GRPC_ADDRESS.",
    )
    triton_models_dir: Path | None = Field(
        None,
        description="Folder in which the keeper lays out what Triton loads when it starts. "
        "Default: <home>/triton.",
    )
    triton_environment: Path = Field(
        Path(sys.prefix + "-triton"),
        description="Virtual environment in which the local Triton and its models run.",
    )
    dagster_url: str = Field("http://127.0.0.1:3000", description="Dagster's web pages.")
    dagster_allowed_hosts: str = Field(
        "",
        description="Names by which Dagster's web pages may be called, comma-separated, against "
        "names that an attacker bound anew. On loopback they are those of loopback; elsewhere, "
        "without this, every name is allowed.",
    )
    dagster_code_host: str = Field(
        "127.0.0.1", description="Host of the server that holds Dagster's definitions."
    )
    dagster_code_port: int = Field(4266, description="Port of that server.")
    api_key: SecretStr | None = Field(
        None,
        description="API key of the clients that run here (import, cameras, demo). Without it, a "
        "client that may write to the catalog makes a key of its own.",
    )
    trusted_proxies: Annotated[str, AfterValidator(_of_networks)] = Field(
        "",
        description="Addresses or networks of proxies before the services, comma-separated, and of "
        "nobody else: the client's address and scheme are taken from their `X-Forwarded-For` and "
        "`X-Forwarded-Proto`. Empty: from nobody's.",
    )
    rate_limit: str = Field(
        "1000/second",
        description="Requests that one key may send to one replica, unless the key has its own "
        "rate.",
    )

    prometheus_url: str = Field(
        "http://127.0.0.1:9090", description="Prometheus, which reads the metrics of all servers."
    )
    prometheus_scrape_interval_s: int = Field(
        5, gt=0, description="Time between two readings of the metrics."
    )
    prometheus_retention_d: int = Field(
        15,
        gt=0,
        description="Days for which Prometheus keeps what it read.",
    )
    alertmanager_url: str = Field(
        "http://127.0.0.1:9093", description="Alertmanager, which groups and sends alerts."
    )
    alerts_key: SecretStr | None = Field(
        None, description="Bearer token that Alertmanager shows to that service."
    )
