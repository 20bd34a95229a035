# One image for all of Holdfast: `selection`, `relay-node` and the command line.
#
#     docker build -t holdfast:0.1.0 .
#     docker run --rm holdfast:0.1.0 --help
#
# The tests run these very instructions in a scratch directory: keep to FROM, WORKDIR, ENV, COPY, RUN, USER, ENTRYPOINT.

FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci
COPY proto ./proto
COPY services ./services
COPY relay-node ./relay-node
RUN npm run build && npm prune --omit=dev && chmod +x dist/services/cli/main.js

# Node itself and what it links against; no npm, no compiler.
FROM debian:bookworm-slim
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
# What the programs tell of their own contract.
COPY --from=build /app/proto/generated/descriptors.binpb ./proto/generated/
COPY --from=build /app/dist ./dist
RUN ln -s /app/dist/services/cli/main.js /usr/local/bin/holdfast
# By number, so that Kubernetes can see that it is not root. Nothing in the image belongs to it.
USER 65532:65532
# Node is process 1 itself, without tini: the processes handle SIGTERM and SIGINT, and start no children to reap.
# There is no HEALTHCHECK: Kubernetes' three probes tell more, and other commands have nothing to check.
# The flag stands in the command's first line too, which tells what for; a test holds them together.
ENTRYPOINT ["node", "--max-semi-space-size=64", "/app/dist/services/cli/main.js"]
