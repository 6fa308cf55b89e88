# syntax=docker/dockerfile:1
# Steps of runs on a GPU: PyTorch with CUDA to train, TensorRT to build engines. From the repository's root:
#   docker build -f deploy/images/trainer.Dockerfile -t visionops/trainer:0.1.0 .
# CUDA comes with the packages; the driver, with the node (NVIDIA's container toolkit).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.9

FROM ${UV_IMAGE} AS uv

FROM ${PYTHON_IMAGE} AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/visionops
RUN uv venv "$VIRTUAL_ENV"
WORKDIR /build
COPY requirements-app.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --no-deps --require-hashes -r requirements-app.lock
# Their own dependencies, NVIDIA's libraries, are for this kind of machine only, and not in the lock; all
# else stays as it says. TensorRT's package fetches its libraries from pypi.nvidia.com. An engine runs only
# on the version of TensorRT that built it, which is Triton's.
ARG TORCH_VERSION=2.13.0
ARG TENSORRT_VERSION=10.13.3.9
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --constraint requirements-app.lock \
      "torch==$TORCH_VERSION" "tensorrt==$TENSORRT_VERSION"
COPY pyproject.toml README.md ./
COPY client ./client
COPY visionops_assets ./visionops_assets
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --no-deps ./client .

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="VisionOps trainer" \
      org.opencontainers.image.description="Training and building of TensorRT engines on a GPU" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/visionops /opt/visionops
COPY deploy/workspace.yaml /app/deploy/
COPY triton_models /app/triton_models
ENV PATH=/opt/visionops/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_DISABLE_TELEMETRY=yes \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    VISIONOPS_HOME=/tmp/visionops \
    VISIONOPS_PROJECT_ROOT=/app
WORKDIR /app
USER 10001:10001
# A job: it ends by itself.
HEALTHCHECK NONE
ENTRYPOINT ["python"]
CMD ["-m", "visionops_assets.stages.serving.build_engine", "--help"]
