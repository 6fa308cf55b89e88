"""Where the servers are, and what opens them."""

import sys
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class ServerSettings(BaseSettings):
    """Addresses and credentials."""

    s3_endpoint_url: str | None = Field(
        "http://127.0.0.1:8333", description="S3 endpoint; empty for Amazon S3 itself."
    )
    s3_region: str = "us-east-1"
    s3_bucket: str = "visionops"
    s3_access_key_id: SecretStr | None = Field(
        None, description="Without a key the AWS default chain (roles, profiles) is used."
    )
    s3_secret_access_key: SecretStr | None = None
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_idempotent_producer: bool = Field(
        True,
        description="On with Apache Kafka. `visionops up` turns it off: its broker loses "
        "acknowledged records of idempotent producers when killed.",
    )
    kafka_media_topic: str = "media"
    kafka_predictions_topic: str = "predictions"
    kafka_dead_letter_topic: str = Field(
        "dead-letter", description="Messages of the media topic that cannot be handled, and why."
    )
    postgres_url: SecretStr = Field(
        SecretStr("postgresql+psycopg://visionops@127.0.0.1:5432/visionops"),
        description="SQLAlchemy URL of the catalog.",
    )
    dagster_postgres_url: SecretStr = Field(
        SecretStr("postgresql+psycopg2://visionops@127.0.0.1:5432/dagster"),
        description="Dagster's storage. Must name psycopg2: its run storage fails on psycopg 3.",
    )
    mlflow_tracking_uri: str = "http://127.0.0.1:5000"
    triton_grpc_address: str = "127.0.0.1:8001"
    triton_http_url: str = "http://127.0.0.1:8000"
    triton_metrics_url: str = "http://127.0.0.1:8002/metrics"
    triton_admin_key: SecretStr | None = Field(
        None, description="Key of Triton's restricted model-control protocol."
    )
    triton_replica_addresses: str = Field(
        "",
        description="gRPC addresses of every Triton server, comma-separated: releases reach all. "
        "A name stands for every address it resolves to, as that of a headless Service does. "
        "Empty: the one of VISIONOPS_TRITON_GRPC_ADDRESS.",
    )
    triton_environment: Path = Field(
        Path(sys.prefix + "-triton"),
        description="Virtual environment in which the local Triton and its models run.",
    )
    dagster_url: str = "http://127.0.0.1:3000"
    dagster_code_host: str = "127.0.0.1"
    dagster_code_port: int = 4266
    ingest_url: str = "http://127.0.0.1:8080"
    gateway_url: str = "http://127.0.0.1:8081"
    exporter_url: str = "http://127.0.0.1:9100"
    camera_url: str = Field(
        "http://127.0.0.1:8082", description="Health and metrics of the camera service."
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key of the clients run here (import, cameras, demo). Without it, one who may "
        "write to the catalog makes a key of its own.",
    )
    rate_limit: str = Field(
        "1000/second", description="Requests of one key to one replica, unless the key says other."
    )

    prometheus_url: str = Field(
        "http://127.0.0.1:9090", description="Prometheus, which scrapes all of the above."
    )
    prometheus_scrape_interval_s: int = Field(5, gt=0)
    prometheus_retention_d: int = Field(15, gt=0, description="Days that it keeps what it read.")
    alertmanager_url: str = "http://127.0.0.1:9093"
    alerts_url: str = Field(
        "http://127.0.0.1:8083", description="The service that Alertmanager tells of alerts."
    )
    alerts_key: SecretStr | None = Field(
        None, description="Bearer token by which Alertmanager is known to that service."
    )
