#!/usr/bin/env bash
# Installs with Go what the tests of the chart need: helm, a real etcd of the version that the chart deploys, and the
# checker of rendered objects. Prints the directory, which is where the tests look.
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

# etcd's modules replace each other by path, which `go install` refuses: they are built as somebody's dependency.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(
  cd "$scratch"
  go mod init scratch 2>/dev/null
  go get "go.etcd.io/etcd/server/v3@$etcd" 2>/dev/null
  nice go build -o "$bin/etcd-3.6" go.etcd.io/etcd/server/v3
)
echo "$bin"
