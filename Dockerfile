# The runner's image: netproof, linked statically, and nothing else.
#
# With a binary that was built before (no base image, no registry):
#   RUSTFLAGS="-C target-feature=+crt-static" \
#     cargo build --release --bin netproof --target x86_64-unknown-linux-gnu
#   docker build -t netproof:0.1.0 target/x86_64-unknown-linux-gnu/release -f Dockerfile
#
# From source, in the repository's root:
#   docker build -t netproof:0.1.0 --target source .
#
# Suites are mounted (deploy/ does it from a ConfigMap):
#   docker run --rm -v "$PWD/suites:/suites:ro" -v ~/.kube/config:/kubeconfig:ro \
#     netproof:0.1.0 run --kubeconfig /kubeconfig /suites/shop.yaml

FROM docker.io/library/rust:1.95-slim AS build
WORKDIR /src
COPY . .
# Proc macros can't be static: the flags hold only for an explicit target.
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --bin netproof --target "$host" \
 && cp "target/$host/release/netproof" /netproof

FROM scratch AS source
LABEL org.opencontainers.image.title="netproof" \
      org.opencontainers.image.description="Proves that a cluster's CNI really enforces NetworkPolicy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/netproof/netproof"
COPY --from=build /netproof /netproof
USER 65532:65532
ENTRYPOINT ["/netproof"]

FROM scratch AS prebuilt
# The binary's path in the build context.
ARG BINARY=netproof
LABEL org.opencontainers.image.title="netproof" \
      org.opencontainers.image.description="Proves that a cluster's CNI really enforces NetworkPolicy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/netproof/netproof"
COPY ${BINARY} /netproof
USER 65532:65532
ENTRYPOINT ["/netproof"]
