# A load test together with golo, for a Job that submits it. From the root of a workspace whose package PACKAGE is the
# load test; in the clone of golo:
#
#   docker build -f deploy/docker/load-test.Dockerfile --build-arg PACKAGE=hello -t golo-hello:0.1.0 .
#
# The path of the load test in the image is /load-test. Its target platform is that of the image.
ARG GOLO=golo:0.1.0
FROM rust:1.89-bookworm AS build
ARG PACKAGE
WORKDIR /workspace
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/workspace/target \
    cargo build --locked --release -p "${PACKAGE:?}" && cp "target/release/$PACKAGE" /load-test

FROM ${GOLO}
COPY --from=build /load-test /load-test
