{{/* http or https: how etcd's members are spoken to. */}}
{{- define "holdfast.etcd.scheme" -}}
{{ .Values.etcd.tls.enabled | ternary "https" "http" }}
{{- end }}

{{/* The domain below which each bundled member has a name: that of its pod. */}}
{{- define "holdfast.etcd.domain" -}}
{{ include "holdfast.fullname" . }}-etcd.{{ .Release.Namespace }}.svc
{{- end }}

{{/* What HOLDFAST_ETCD says: every member by name, because the program itself goes to another when one fails. */}}
{{- define "holdfast.etcd.endpoints" -}}
{{- if .Values.etcd.bundled.enabled -}}
{{- $endpoints := list -}}
{{- range $ordinal := until (int .Values.etcd.bundled.replicas) -}}
{{- $member := printf "%s-etcd-%d.%s" (include "holdfast.fullname" $) $ordinal (include "holdfast.etcd.domain" $) -}}
{{- $endpoints = append $endpoints (printf "%s://%s:2379" (include "holdfast.etcd.scheme" $) $member) -}}
{{- end -}}
{{ join "," $endpoints }}
{{- else -}}
{{ join "," .Values.etcd.endpoints }}
{{- end -}}
{{- end }}

{{/* What --initial-cluster says: each member's name and where the others reach it. */}}
{{- define "holdfast.etcd.initialCluster" -}}
{{- $members := list -}}
{{- range $ordinal := until (int .Values.etcd.bundled.replicas) -}}
{{- $name := printf "%s-etcd-%d" (include "holdfast.fullname" $) $ordinal -}}
{{- $url := printf "%s://%s.%s:2380" (include "holdfast.etcd.scheme" $) $name (include "holdfast.etcd.domain" $) -}}
{{- $members = append $members (printf "%s=%s" $name $url) -}}
{{- end -}}
{{ join "," $members }}
{{- end }}
