# Gateway and bridge in one image. A site without access to Docker Hub gives its own Debian or Python base:
#   docker build --build-arg BASE_IMAGE=registry.example/python:3.11 -t tiltline:0.1.0 .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/tiltline
# Only what the package is built from; see also .dockerignore.
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY processing/ processing/
COPY sensor_gateway/ sensor_gateway/
COPY dashboards/ dashboards/
RUN /opt/tiltline/bin/pip install --no-cache-dir --constraint constraints.txt '.[gateway]'

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Tiltline" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed number, so that the owner of volumes and secrets is the same on every host.
RUN groupadd --system --gid 10001 tiltline \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/tiltline --no-create-home --shell /usr/sbin/nologin tiltline \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/tiltline
COPY --from=build /opt/tiltline /opt/tiltline
ENV PATH=/opt/tiltline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/tiltline
USER 10001:10001
VOLUME /var/lib/tiltline
EXPOSE 8080
ENTRYPOINT ["tiltline"]
CMD ["--help"]
