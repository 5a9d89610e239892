# The server: reference photographs, index and keys on volumes, not root. The first start makes a key and prints it;
# -e DACO_OPEN=1 lets everybody in instead (docs/guide/deploy.md).
#   docker build -t daco-serve .                          CPU
#   docker build -t daco-serve --build-arg EXTRA=gpu --build-arg DEVICE=cuda .  GPU, with PyTorch; run with --gpus all
FROM python:3.12-slim

ARG DEVICE=cpu
ARG EXTRA=cpu

ENV DACO_DEVICE=${DEVICE} \
    DACO_INDEX=/maps/current \
    DACO_HOST=0.0.0.0 \
    DACO_PORT=8000 \
    DACO_MAKE_KEY=1 \
    XDG_CONFIG_HOME=/config \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

RUN useradd --create-home --uid 10001 daco

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY core core
COPY training training
COPY index index
COPY daco_serve daco_serve
COPY bench bench
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRA}]"

RUN mkdir -p /maps /models /photographs /config && chown daco:daco /maps /models /config && chmod 700 /config
USER daco
VOLUME ["/maps", "/models", "/photographs", "/config"]
EXPOSE 8000

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

CMD ["daco-serve", "run"]
