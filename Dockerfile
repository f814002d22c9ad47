# The server with its model.
#
#   docker build -t darkroom .
#   docker run --rm -p 5000:5000 darkroom
#
# Build arguments:
#   TORCH=cpu|cuda            cuda: torch from PyPI, which brings its own CUDA libraries; run it with --gpus all
#   MODEL_ID=owner/name       the model to serve, from the Hugging Face Hub (default: the embedded one)
#   MODEL_REVISION=...        its commit, branch or tag
#   MODEL_VARIANT=...         the kind of weights to bake, such as fp16
#   WEIGHTS=volume|bake       volume: its weights are looked for in /weights, and fetched, at run time; bake: fetched
#                             now, into the image. A token that they need: --secret id=HF_TOKEN,src=FILE
#   HF_ENDPOINT=https://...   bake from a mirror of the Hub
#   BASE_IMAGE=...            any Debian or Ubuntu with Python 3.11 to 3.14 as python3
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG TORCH=cpu
ARG WEIGHTS=volume

FROM ${BASE_IMAGE} AS base-cpu

FROM ${BASE_IMAGE} AS base-cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# What compiles the model for the GPU builds small launchers in C, at run time. Python's headers are in python:*-slim;
# another BASE_IMAGE has to bring them (python3-dev).
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*

FROM base-${TORCH} AS base
ENV PATH=/opt/darkroom/bin:$PATH

# The pinned dependencies, those of the extras (traces) as well: the one large layer, and the same one until a pin changes.
FROM base AS dependencies
ARG TORCH
WORKDIR /build
RUN python3 -m venv /opt/darkroom
COPY script/install-requirements script/
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip script/install-requirements /opt/darkroom/bin/python "$TORCH" requirements.txt

# This project, as one small wheel.
FROM dependencies AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY server server
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist .

FROM dependencies AS weights-volume
RUN mkdir /weights

# Only the code that fetches is here, so that a change elsewhere fetches nothing anew.
FROM dependencies AS weights-bake
ARG MODEL_ID
ARG MODEL_REVISION
ARG MODEL_VARIANT
ARG HF_ENDPOINT
COPY server/__init__.py server/
COPY server/diffusion server/diffusion
COPY models models
RUN --mount=type=secret,id=HF_TOKEN \
    mkdir /weights \
    && HF_HOME=/weights HF_TOKEN_PATH=/run/secrets/HF_TOKEN python -m server.diffusion.weights \
    && rm -rf /weights/xet

FROM weights-${WEIGHTS} AS weights

FROM base
LABEL org.opencontainers.image.title="Darkroom" \
    org.opencontainers.image.description="Serves a Diffusers pipeline, or any model written for Cog, over HTTP" \
    org.opencontainers.image.licenses="Apache-2.0"

# tini is process 1: it passes signals on from the first moment, and reaps what a model's subprocesses leave behind.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-log-init --create-home --shell /usr/sbin/nologin darkroom \
    && install --directory --owner=10001 --group=10001 /data

COPY --from=dependencies /opt/darkroom /opt/darkroom
COPY --from=weights --chown=10001:10001 /weights /weights
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist pip install --quiet --no-deps --no-index /dist/*.whl
COPY script/healthcheck /usr/local/bin/
WORKDIR /app
COPY cog.yaml predict.py ./
COPY models models

ARG MODEL_ID
ARG MODEL_REVISION
ENV MODEL_ID=${MODEL_ID} MODEL_REVISION=${MODEL_REVISION} HF_HOME=/weights \
    COMPILE_CACHE=/weights/compiled LORA_CACHE=/weights/loras \
    DARKROOM_HOST=0.0.0.0 PORT=5000 DARKROOM_DATA_DIR=/data \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# What predictions have been; a volume, so that it can be written to where the rest is read-only.
VOLUME /data
EXPOSE 5000
# A model that still loads is not healthy, and does not count as failing for its first quarter of an hour.
HEALTHCHECK --interval=10s --timeout=8s --start-period=15m --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["tini", "--", "darkroom"]
CMD ["serve"]
