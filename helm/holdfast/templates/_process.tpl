{{/* Environment of both Holdfast processes; takes (list $ httpPort etcdAuthSecret). */}}
{{- define "holdfast.env" -}}
{{- $root := index . 0 -}}
{{- $etcd := $root.Values.etcd -}}
- name: HOLDFAST_HTTP_LISTEN
  value: "{{ include "holdfast.anyAddress" $root }}:{{ index . 1 }}"
- name: HOLDFAST_LOG_LEVEL
  value: {{ $root.Values.logLevel }}
- name: HOLDFAST_ETCD
  value: {{ include "holdfast.etcd.endpoints" $root | quote }}
- name: HOLDFAST_ETCD_PREFIX
  value: {{ $etcd.prefix }}
- name: HOLDFAST_ETCD_TIMEOUT_MS
  value: {{ $etcd.timeoutMs | quote }}
{{- with index . 2 }}
- name: HOLDFAST_ETCD_USERNAME
  valueFrom: { secretKeyRef: { name: {{ . }}, key: username } }
- name: HOLDFAST_ETCD_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ . }}, key: password } }
{{- end }}
{{- if $etcd.tls.enabled }}
- name: HOLDFAST_ETCD_CA
  value: /etc/holdfast/etcd-tls/ca.crt
{{- if $etcd.tls.clientCertificate }}
- name: HOLDFAST_ETCD_CERT
  value: /etc/holdfast/etcd-tls/tls.crt
- name: HOLDFAST_ETCD_KEY
  value: /etc/holdfast/etcd-tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{/* Certificates are mounted as directories: a file mounted on its own would not change with its Secret. */}}
{{- define "holdfast.mounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if .Values.etcd.tls.enabled }}
- { name: etcd-tls, mountPath: /etc/holdfast/etcd-tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "holdfast.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- if .Values.etcd.tls.enabled }}
- name: etcd-tls
  secret: { secretName: {{ include "holdfast.secret.etcdClient" . }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{/* Names of the Secrets with certificates: the one that is named, else the one that cert-manager fills. */}}
{{- define "holdfast.secret.grpc" -}}
{{ default (printf "%s-grpc" (include "holdfast.fullname" .)) .Values.tls.secret }}
{{- end }}

{{- define "holdfast.secret.etcdServer" -}}
{{ default (printf "%s-etcd-server" (include "holdfast.fullname" .)) .Values.etcd.tls.serverSecret }}
{{- end }}

{{- define "holdfast.secret.etcdClient" -}}
{{ default (printf "%s-etcd-client" (include "holdfast.fullname" .)) .Values.etcd.tls.clientSecret }}
{{- end }}

{{/* The one of the external metrics API is made by the chart, or by cert-manager. */}}
{{- define "holdfast.secret.externalMetrics" -}}
{{ include "holdfast.fullname" . }}-external-metrics
{{- end }}

{{- define "holdfast.secret.test" -}}
{{ default (printf "%s-test" (include "holdfast.fullname" .)) .Values.tests.clientSecret }}
{{- end }}

{{/*
Replicas of a workload, empty for none in the manifest; takes (list $ "kind" "component" values). With autoscaling it is the number
that runs now: a manifest without it would take the number of the last one away, and Kubernetes makes 1 of nothing. Helm finds it
where it speaks to a cluster. `helm template` does not, and a number in what it renders would undo the autoscaler's work each time
it is applied.
*/}}
{{- define "holdfast.replicas" -}}
{{- $root := index . 0 -}}
{{- $values := index . 3 -}}
{{- if not $values.autoscaling.enabled -}}
{{ $values.replicas }}
{{- else -}}
{{- $name := printf "%s-%s" (include "holdfast.fullname" $root) (index . 2) -}}
{{- with lookup "apps/v1" (index . 1) $root.Release.Namespace $name -}}
{{ max (int $values.autoscaling.minReplicas) (int .spec.replicas) }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Seconds that a selection pod gets to leave: heard of, then stopped in order, then a margin for the rest. */}}
{{- define "holdfast.selection.graceNeeded" -}}
{{ add .Values.selection.preStopSeconds .Values.selection.leaveSeconds .Values.selection.stopDeadlineSeconds 5 }}
{{- end }}

{{/* Seconds that a relay pod gets to leave: its calls, 10 that the process gives etcd to hear of it, a margin. */}}
{{- define "holdfast.relay.graceNeeded" -}}
{{ add .Values.relay.drainDeadlineSeconds 15 }}
{{- end }}

{{/* Certificate names that may select. The certificate that is issued for `helm test` is made for just that. */}}
{{- define "holdfast.selectNames" -}}
{{- $names := .Values.tls.selectNames -}}
{{- if and .Values.tests.enabled (not .Values.tests.clientSecret) -}}
{{- $names = append $names (include "holdfast.secret.test" .) -}}
{{- end -}}
{{ join "," $names }}
{{- end }}
