#!/usr/bin/env bash
# Builds the programs of the cluster from the Go module proxy into the directory given: Kubernetes as one binary, a CoreDNS
# with the plugins that a cluster needs, what holds a pod's namespaces, and the etcdctl of the etcd that the chart deploys.
set -euo pipefail
cd "$(dirname "$0")"
out=$1
etcd=v3.6.16
mkdir -p "$out"
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

# Without a version of its own a program of Kubernetes says v0.0.0, and refuses to serve.
kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
version=k8s.io/component-base/version
minor=${kubernetes#v1.}
stamp="-X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*} -X $version.gitTreeState=clean"
stamp="$stamp -X $version.gitCommit=0000000000000000000000000000000000000000 -X $version.buildDate=2026-01-01T00:00:00Z"

go build -p 2 -trimpath -ldflags "-s -w $stamp" -o "$out/kube" ./kube
# Called by the name of a program, it is that program.
for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
  ln -sf kube "$out/$program"
done
go build -p 2 -trimpath -ldflags '-s -w' -o "$out/coredns" ./dns
go build -trimpath -ldflags '-s -w' -o "$out/pause" ./pause

# etcd's modules replace each other by path, which `go install` rejects: build it as a dependency of another module.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
go mod init scratch
go get "go.etcd.io/etcd/etcdctl/v3@$etcd"
go build -p 2 -trimpath -ldflags '-s -w' -o "$out/etcdctl" go.etcd.io/etcd/etcdctl/v3
