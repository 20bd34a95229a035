{{/* What the pods of all components have in common; takes (list $ "component" values). */}}
{{- define "holdfast.pod" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
serviceAccountName: {{ include "holdfast.fullname" $root }}-{{ $component }}
# No pod asks the Kubernetes API.
automountServiceAccountToken: false
# A Service named "holdfast" would set HOLDFAST_PORT and the like, which mean nothing to the program.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: {{ $root.Values.topologySpread }}
    labelSelector:
      matchLabels:
        {{- include "holdfast.selector" (list $root $component) | nindent 8 }}
  {{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
Labels and annotations of a pod; takes (list $ "component" values). Not the chart's version: a new one alone is no reason
to drain relays.
*/}}
{{- define "holdfast.podMetadata" -}}
labels:
  {{- include "holdfast.selector" . | nindent 2 }}
  {{- with (index . 0).Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with (index . 2).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* As the restricted Pod Security Standard asks, and a root file system that nobody can write to. */}}
{{- define "holdfast.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The Holdfast image and how it may run. */}}
{{- define "holdfast.container" -}}
image: {{ include "holdfast.image" (list .Values.image .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "holdfast.restricted" . | nindent 2 }}
{{- end }}

{{/*
Three questions. Startup: does it listen yet? It need not have found etcd: without etcd a restart helps nobody.
Liveness: does its event loop turn? Readiness: should it be given work?
*/}}
{{- define "holdfast.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 1
{{- end }}

{{/* The address that pods listen on. */}}
{{- define "holdfast.anyAddress" -}}
{{ eq .Values.ipFamily "IPv6" | ternary "[::]" "0.0.0.0" }}
{{- end }}

{{/* The pod's own address before a port; the variable POD_IP has to be set. */}}
{{- define "holdfast.podAddress" -}}
{{ eq .Values.ipFamily "IPv6" | ternary "[$(POD_IP)]" "$(POD_IP)" }}
{{- end }}

{{- define "holdfast.podIpEnv" -}}
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
{{- end }}

{{/* `NAME=VALUE,NAME=VALUE` of a map. */}}
{{- define "holdfast.pairs" -}}
{{- $pairs := list -}}
{{- range $name, $value := . }}{{ $pairs = append $pairs (printf "%s=%v" $name $value) }}{{ end -}}
{{ join "," $pairs }}
{{- end }}
