# syntax=docker/dockerfile:1
# Triton with what our models import: the same OpenCV as outside, so that pixels are equal. The models
# themselves come with each release. From the root of the repository:
#   docker build -f deploy/images/triton.Dockerfile -t visionops/triton:0.1.0 .
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.10-py3
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.9

FROM ${UV_IMAGE} AS uv

FROM ${TRITON_IMAGE} AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/visionops
# By the image's own Python: the backend's stub is built for it.
RUN uv venv --python /usr/bin/python3 "$VIRTUAL_ENV"
WORKDIR /build
COPY requirements-triton.lock ./
# The lock's Triton is that of machines without containers.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --no-deps --require-hashes -r requirements-triton.lock \
    && uv pip uninstall nvidia-pytriton
COPY pyproject.toml README.md ./
COPY client ./client
COPY visionops_assets ./visionops_assets
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --no-deps ./client .

FROM ${TRITON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="VisionOps Triton" \
      org.opencontainers.image.description="Triton Inference Server with VisionOps' preprocessing" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-NVIDIA-Deep-Learning-Container"
# The trainer's, or no engine would load: the build ends here if the image has another.
ARG TENSORRT_VERSION=10.13.3.9
RUN test -e "/usr/lib/x86_64-linux-gnu/libnvinfer.so.${TENSORRT_VERSION%.*}"
COPY --from=build /opt/visionops /opt/visionops
# Python models run by the first python3 on PATH.
ENV PATH=/opt/visionops/bin:/opt/tritonserver/bin:$PATH \
    VIRTUAL_ENV=/opt/visionops \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VISIONOPS_HOME=/tmp/visionops
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s \
  CMD ["curl", "--fail", "--silent", "http://127.0.0.1:8000/v2/health/ready"]
CMD ["tritonserver", "--help"]
