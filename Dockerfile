# One image for all of Holdfast: `selection`, `relay-node` and the command line.
#
#     docker build -t holdfast:0.1.0 .
#     docker run --rm holdfast:0.1.0 --help
#
# The tests run these instructions in a scratch directory: use only FROM, WORKDIR, ENV, COPY, RUN, LABEL, USER, ENTRYPOINT.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci
COPY proto ./proto
COPY services ./services
COPY relay-node ./relay-node
RUN npm run build && npm prune --omit=dev && chmod +x dist/services/cli/main.js
# What is in the image, for scanners: CycloneDX, from the lockfile.
RUN npm sbom --package-lock-only --omit=dev --sbom-format=cyclonedx >sbom.cdx.json

# Node and what it links against, and what the built-in relay forwards in the kernel with; no npm, no compiler.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends nftables iproute2 && rm -rf /var/lib/apt/lists/*
LABEL org.opencontainers.image.title="Holdfast"
LABEL org.opencontainers.image.description="A distributed session registry for SIP media relays: a call stays on its relay."
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="MIT"
LABEL org.opencontainers.image.vendor="The Holdfast authors"
LABEL org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json /app/sbom.cdx.json ./
COPY --from=build /app/node_modules ./node_modules
# The programs serve it by server reflection.
COPY --from=build /app/proto/generated/descriptors.binpb ./proto/generated/
COPY --from=build /app/dist ./dist
RUN ln -s /app/dist/services/cli/main.js /usr/local/bin/holdfast
# A number, so that Kubernetes can tell that it is not root. Nothing in the image belongs to this user.
USER 65532:65532
# Node is process 1, without tini: the processes handle SIGTERM and SIGINT, and start no children to reap.
# There is no HEALTHCHECK: Kubernetes has its own probes, and most commands have nothing to check.
# main.ts explains the flag in its first lines; a test keeps both the same.
ENTRYPOINT ["node", "--max-semi-space-size=16", "/app/dist/services/cli/main.js"]
