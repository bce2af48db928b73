# The command golo: agents, collectors and golo submit. From the root of the clone:
#
#   docker build -f deploy/docker/golo.Dockerfile -t golo:0.1.0 .
FROM rust:1.89-bookworm AS build
WORKDIR /golo
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/golo/target \
    cargo build --locked --release -p golo-cli && cp target/release/golo /usr/local/bin/golo

# Debian, because agents run load tests that were built for it. Programs in other languages need an image with their
# runtime.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/golo /usr/local/bin/golo
# Without a name, so that Kubernetes sees that it is not root.
USER 10001:10001
ENTRYPOINT ["golo"]
CMD ["--help"]
