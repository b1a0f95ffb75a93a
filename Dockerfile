# docker build -t scaling .                                                   for processors
# docker build -t scaling --build-arg BASE=nvidia/cuda:12.6.3-base-ubuntu24.04 --build-arg TORCH_CPU= .   for NVIDIA's GPUs
# docker run --rm -v "$PWD:/work" scaling run -m n=1000,10000
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG TORCH_CPU=https://download.pytorch.org/whl/cpu
ARG EXTRAS=text
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/venv/bin:$PATH MLFLOW_DISABLE_TELEMETRY=true
COPY . /opt/scaling
RUN python3 -m venv /opt/venv \
    && PIP="python -m pip" TORCH_CPU="$TORCH_CPU" /opt/scaling/scripts/torch_cpu.sh \
    && python -m pip install --no-cache-dir "/opt/scaling[$EXTRAS]" \
    && useradd --create-home --uid 10001 scaling
USER 10001
WORKDIR /work
ENTRYPOINT ["scaling"]
CMD ["--help"]
