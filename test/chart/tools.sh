#!/usr/bin/env bash
# Installs the Go programs for the tests of the chart: helm, the version of etcd that the chart deploys with its
# `etcdutl`, and the checker of rendered objects. Prints the directory, where the tests look for them.
set -euo pipefail

helm=v3.22.0
etcd=v3.6.16

here=$(cd "$(dirname "$0")" && pwd)
bin=${HOLDFAST_CHART_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/chart-tools}
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)
export CGO_ENABLED=0

GOBIN=$bin nice go install "helm.sh/helm/v3/cmd/helm@$helm"

(cd "$here/checker" && nice go build -o "$bin/holdfast-chart-checker" .)

# etcd's modules replace each other by path, which `go install` rejects: build them as a dependency of another module.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(
  cd "$scratch"
  go mod init scratch
  go get "go.etcd.io/etcd/server/v3@$etcd" "go.etcd.io/etcd/etcdutl/v3@$etcd"
  nice go build -o "$bin/etcd-3.6" go.etcd.io/etcd/server/v3
  nice go build -o "$bin/etcdutl-3.6" go.etcd.io/etcd/etcdutl/v3
)
echo "$bin"
