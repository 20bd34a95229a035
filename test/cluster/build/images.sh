#!/usr/bin/env bash
# Makes the images that the cluster runs, without an image registry, as OCI archives in CACHE/images:
#
#   base       what the Dockerfile starts from: Debian by debootstrap, and the same with Node and npm
#   pause      what holds a pod's namespaces
#   etcd       by the name in the chart's values: the static programs, as upstream has them
#   holdfast   from the Dockerfile as it is
#
# Usage: images.sh CACHE TOOLS NODE IMAGE…, with the programs of `programs.sh` in CACHE/bin, `etcd-3.6` in TOOLS, and the newest
# Node at NODE.
set -euo pipefail
cache=$1 tools=$2 node=$3
shift 3
repository=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$cache/images"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A storage of its own: what else is on the machine stays as it is.
build=(buildah --root "$cache/storage" --runroot "$work/run")
# Whoever signs for a registry, on a machine behind a proxy. It is mounted for the build, and stays in no image.
authorities=/etc/ssl/certs/ca-certificates.crt

value() { sed -n "/^$1:/,\$p" "$repository/helm/holdfast/values.yaml" | sed -n "s/^ *$2: *//p" | head -1; }

# save NAME FILE
save() {
  rm -f "$cache/images/$2.tar"
  "${build[@]}" push -q "$1" "oci-archive:$cache/images/$2.tar:$1"
}

base() {
  local container root=$work/root
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; return 1; }
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale} "$root"/var/log/*
  container=$("${build[@]}" from scratch)
  "${build[@]}" copy -q "$container" "$root" / >/dev/null
  "${build[@]}" config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd bash "$container"
  "${build[@]}" commit -q "$container" docker.io/library/debian:bookworm-slim >/dev/null
  mkdir -p "$work/node/usr/local/bin" "$work/node/usr/local/lib/node_modules"
  cp "$(readlink -f "$node")" "$work/node/usr/local/bin/node"
  # Where it really is: the Node that comes first on the PATH may be another one, which has none.
  cp -a "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$work/node/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/node/usr/local/bin/npx"
  "${build[@]}" copy -q "$container" "$work/node" / >/dev/null
  # Only the first stage of the Dockerfile uses this image.
  "${build[@]}" config --env NODE_EXTRA_CA_CERTS=$authorities "$container"
  "${build[@]}" commit -q "$container" "docker.io/library/$(sed -n 's/^FROM \(node:.*\) AS build$/\1/p' "$repository/Dockerfile")" >/dev/null
  "${build[@]}" rm "$container" >/dev/null
}

pause() {
  local container
  container=$("${build[@]}" from scratch)
  "${build[@]}" copy -q "$container" "$cache/bin/pause" /pause >/dev/null
  "${build[@]}" config --user 65535:65535 --entrypoint '["/pause"]' "$container"
  "${build[@]}" commit -q --rm "$container" holdfast.invalid/pause:1 >/dev/null
  save holdfast.invalid/pause:1 pause
}

etcd() {
  local container name
  name=$(value etcd repository):$(value etcd tag)
  container=$("${build[@]}" from scratch)
  "${build[@]}" copy -q --chmod 0755 "$container" "$tools/etcd-3.6" /usr/local/bin/etcd >/dev/null
  "${build[@]}" copy -q --chmod 0755 "$container" "$cache/bin/etcdctl" /usr/local/bin/etcdctl >/dev/null
  "${build[@]}" config --env PATH=/usr/local/bin --entrypoint '[]' --cmd /usr/local/bin/etcd "$container"
  "${build[@]}" commit -q --rm "$container" "$name" >/dev/null
  save "$name" etcd
}

holdfast() {
  local name
  name=docker.io/library/holdfast:$(sed -n 's/^appVersion: *"\(.*\)"/\1/p' "$repository/helm/holdfast/Chart.yaml")
  "${build[@]}" bud --quiet --layers --pull-never --isolation chroot --network host -v "$authorities:$authorities:ro" -t "$name" "$repository"
  save "$name" holdfast
}

for image in "$@"; do
  began=$SECONDS
  "$image"
  echo "$image: $((SECONDS - began)) s" >&2
done
