"""Every environment variable of VisionOps, typed. Nothing else here reads the environment.

A variable is `VISIONOPS_` and the field's name. `visionops up` writes the addresses and generated
credentials of the servers it started to `<home>/stack.env`; a variable of the environment wins over
that file, and an address set in the environment means: do not start that server.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import SettingsError

STACK_ENV_FILE = "stack.env"


class Settings(BaseSettings):
    """Addresses, credentials and knobs. Immutable; obtained by `load_settings`."""

    model_config = SettingsConfigDict(env_prefix="VISIONOPS_", extra="ignore", frozen=True)

    home: Path = Field(Path(".visionops"), description="Where the local stack keeps its state.")
    project_root: Path = Field(
        Path(__file__).resolve().parents[1],
        description="Folder that holds triton_models/, workspace.yaml and dagster.yaml.",
    )

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

    executor: Literal["in_process", "multiprocess", "k8s"] = Field(
        "in_process", description="Dagster executor: a process a run, a step, or a pod a step."
    )

    max_upload_bytes: int = Field(2 * 1024**3, gt=0)
    max_predicted_image_bytes: int = Field(
        32 * 1024**2, gt=0, description="An image to predict is held in memory."
    )
    max_image_pixels: int = Field(50_000_000, gt=0, description="Of an image, or of one picture.")
    max_video_duration_s: float = Field(18_000.0, gt=0)
    decode_timeout_s: float = Field(60.0, gt=0, description="Wall clock for decoding one file.")
    decode_memory_bytes: int = Field(2 * 1024**3, gt=0, description="Address space of the decoder.")
    upload_lease_s: float = Field(
        300.0, gt=0, description="An upload that is not renewed for so long is given up."
    )
    body_idle_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for the next bytes of a request."
    )
    resumable_expiry_s: float = Field(
        86_400.0, gt=0, description="A resumable upload is kept so long after its last bytes."
    )
    idempotency_expiry_s: float = Field(86_400.0, gt=0)

    sweep_interval_s: float = Field(30.0, gt=0)
    announce_again_after_s: float = Field(
        3_600.0,
        gt=0,
        description="Media whose event was published so long ago, and never taken from the queue, "
        "are announced again.",
    )
    crash_points_dir: Path | None = Field(
        None, description="Tests only: where a file named like a crash point arms it, once."
    )

    batch_max_messages: int = Field(1_000, gt=0)
    batch_max_wait_s: float = Field(30.0, ge=0)

    frame_size_px: int = Field(64, ge=8)
    frame_colour: Literal["rgb", "gray"] = "rgb"
    frame_resize: Literal["stretch", "letterbox"] = "stretch"
    video_sample_interval_s: float = Field(1.0, gt=0)

    shard_max_bytes: int = Field(64 * 1024**2, gt=0)

    snapshot_min_new_labels: int = Field(
        500, gt=0, description="Newly labelled frames that make a new snapshot worthwhile."
    )
    snapshot_max_wait_s: float = Field(
        600.0, ge=0, description="Longest wait of labelled frames for a backlog to clear."
    )
    holdout_percent: int = Field(20, gt=0, lt=100)
    min_holdout_per_class: int = Field(5, gt=0)

    model_name: str = Field("classifier", pattern=r"^[A-Za-z0-9_-]+$")
    training_architecture: str = Field("resnet-tiny", description="One of vision/architectures.")
    training_epochs: int = Field(12, gt=0)
    training_seed: int = 0
    gate_min_accuracy: float = Field(0.9, ge=0, le=1)
    gate_max_regression: float = Field(
        0.02, ge=0, le=1, description="Accuracy a candidate may be worse than the champion."
    )
    signing_key_file: Path | None = Field(
        None,
        description="Ed25519 private key (PEM) that signs what is exported and released. Default: "
        "<home>/signing.key, made when first needed.",
    )
    export_max_accuracy_drop: float = Field(
        0.01, ge=0, le=1, description="Holdout accuracy an INT8 or TensorRT artifact may lose."
    )
    serving_precision: Literal["fp32", "int8"] = Field(
        "fp32", description="ONNX artifact that is served on CPUs; INT8 pays off on heavy models."
    )
    serving_layout: Literal["fused", "ensemble"] = Field(
        "fused", description="One model that does all steps (CPU), or an ensemble around TensorRT."
    )
    serving_backend: Literal["python", "onnxruntime", "tensorrt"] = Field(
        "python", description="Triton backend that runs the network of an ensemble."
    )
    serving_engine: str = Field(
        "", description="Key of the TensorRT engine to serve; ONNX where an export has none of it."
    )
    serving_instances: int = Field(
        0, ge=0, description="Model instances of one Triton server; 0 is one a core."
    )
    serving_max_queue: int = Field(
        256, gt=0, description="Requests that may wait in Triton; more are refused as overload."
    )
    prediction_image_sample_rate: float = Field(
        0.01, ge=0, le=1, description="Share of predictions whose image is kept."
    )

    gateway_max_in_flight: int = Field(
        64, gt=0, description="Predictions under way in one gateway; more are answered 429."
    )
    gateway_deadline_s: float = Field(
        10.0, gt=0, description="Longest a prediction may take, unless its request says less."
    )
    gateway_breaker_failures: int = Field(
        5, gt=0, description="Failures of Triton in a row after which it is left alone for a while."
    )
    gateway_breaker_open_s: float = Field(2.0, gt=0)

    rollout_min_requests: int = Field(
        200, gt=0, description="Requests of a canary or shadow before it is judged."
    )
    rollout_max_error_increase: float = Field(
        0.01, ge=0, le=1, description="Error rate a candidate may have above the champion's."
    )
    rollout_max_latency_ratio: float = Field(
        1.5, gt=0, description="95th percentile of a candidate's latency over the champion's."
    )
    rollout_min_agreement: float = Field(
        0.9, ge=0, le=1, description="Share of images on which both must give the same label."
    )
    rollout_max_s: float = Field(
        3_600.0, gt=0, description="A rollout that was not judged by then is ended."
    )

    monitoring_interval_s: float = Field(30.0, ge=0)


def settings_home() -> Path:
    """Return the state folder, before any settings are loaded (it says where stack.env is)."""
    return Path(os.environ.get("VISIONOPS_HOME", ".visionops")).resolve()


def _load(env_file: Path | None) -> Settings:
    try:
        return Settings(_env_file=env_file, home=settings_home())
    except ValidationError as error:
        problems = "; ".join(
            f"VISIONOPS_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        raise SettingsError(f"Unusable settings. {problems}") from None


@cache
def load_settings() -> Settings:
    """Read the environment over `<home>/stack.env`, once a process.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    return _load(settings_home() / STACK_ENV_FILE)


def load_external_settings() -> Settings:
    """Read the environment alone. Its `model_fields_set` names the servers not to start."""
    return _load(None)


def current_spec(settings: Settings) -> PreprocessingSpec:
    """Return the preprocessing that new frames get, and that snapshots are cut from."""
    return PreprocessingSpec(
        size_px=settings.frame_size_px,
        colour=settings.frame_colour,
        resize=settings.frame_resize,
        video_sample_interval_s=settings.video_sample_interval_s,
    )


def child_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with every setting in it that is no secret.

    A child process gets the secrets it needs by `secret_environment`.
    """
    secrets = {f"VISIONOPS_{field.upper()}" for field in secret_fields()}
    env = {name: value for name, value in os.environ.items() if name.upper() not in secrets}
    for field in Settings.model_fields.keys() - secret_fields():
        value = getattr(settings, field)
        if value is not None:
            env[f"VISIONOPS_{field.upper()}"] = str(value)
    return env


def secret_environment(settings: Settings, *fields: str) -> dict[str, str]:
    """Return these secret settings, as far as they are set, as environment variables.

    Holds credentials in clear text: pass it on, never print it.
    """
    values = {field: getattr(settings, field) for field in fields}
    return {
        f"VISIONOPS_{field.upper()}": value.get_secret_value()
        for field, value in values.items()
        if value is not None
    }


def secret_fields() -> frozenset[str]:
    """Name the settings that are secret: those of type `SecretStr`."""
    fields = Settings.model_fields.items()
    return frozenset(
        name
        for name, field in fields
        if SecretStr in (field.annotation, *get_args(field.annotation))
    )
