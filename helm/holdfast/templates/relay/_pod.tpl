{{/* The pod of one relay, whatever kind of workload makes it. */}}
{{- define "holdfast.relay.template" -}}
{{- $values := .Values.relay -}}
metadata:
  {{- include "holdfast.podMetadata" (list . "relay" $values) | nindent 2 }}
spec:
  {{- include "holdfast.pod" (list . "relay" $values) | nindent 2 }}
  {{- if $values.hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  terminationGracePeriodSeconds: {{ default (include "holdfast.relay.graceNeeded" .) $values.terminationGracePeriodSeconds }}
  {{- if eq $values.kind "rtpengine" }}
  initContainers:
    {{- include "holdfast.relay.rtpengine" . | nindent 4 }}
  {{- end }}
  containers:
    - name: relay-node
      image: {{ include "holdfast.image" (list .Values.image .Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        {{- include "holdfast.relay.security" . | nindent 8 }}
      args: [relay-node]
      env:
        {{- include "holdfast.podIpEnv" . | nindent 8 }}
        {{- include "holdfast.env" (list . $values.ports.http .Values.etcd.auth.relaySecret) | nindent 8 }}
        - name: HOLDFAST_RELAY_ID
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        - name: HOLDFAST_RELAY_SET
          value: {{ $values.set }}
        - name: HOLDFAST_RELAY_KIND
          value: {{ $values.kind }}
        # On the very address that proxies ask: they take answers from no other.
        - name: HOLDFAST_RELAY_CONTROL
          value: "{{ include "holdfast.podAddress" . }}:{{ $values.ports.control }}"
        - name: HOLDFAST_RELAY_MEDIA
          value: {{ include "holdfast.pairs" $values.media | quote }}
        - name: HOLDFAST_RELAY_WEIGHT
          value: {{ $values.weight | quote }}
        - name: HOLDFAST_RELAY_CAPACITY
          value: {{ $values.capacity | int64 | quote }}
        - name: HOLDFAST_RELAY_ZONE
          {{- if $values.zone }}
          value: {{ $values.zone | quote }}
          {{- else }}
          valueFrom: { fieldRef: { fieldPath: "metadata.labels['topology.kubernetes.io/zone']" } }
          {{- end }}
        {{- with $values.labels }}
        - name: HOLDFAST_RELAY_LABELS
          value: {{ include "holdfast.pairs" . | quote }}
        {{- end }}
        {{- if eq $values.kind "builtin" }}
        {{- if .Values.selection.rtpproxy.enabled }}
        - name: HOLDFAST_RELAY_RTPPROXY_LISTEN
          value: "{{ include "holdfast.podAddress" . }}:{{ $values.ports.rtpproxy }}"
        {{- end }}
        - name: HOLDFAST_RELAY_PORT_MIN
          value: {{ $values.ports.mediaMin | quote }}
        - name: HOLDFAST_RELAY_PORT_MAX
          value: {{ $values.ports.mediaMax | quote }}
        - name: HOLDFAST_RELAY_FORWARDING
          value: {{ $values.forwarding }}
        {{- if ne $values.dscp nil }}
        - name: HOLDFAST_RELAY_DSCP
          value: {{ $values.dscp | quote }}
        {{- end }}
        - name: HOLDFAST_RELAY_IDLE_TIMEOUT_SECONDS
          value: {{ $values.idleTimeoutSeconds | quote }}
        - name: HOLDFAST_RELAY_HOLD_TIMEOUT_SECONDS
          value: {{ $values.holdTimeoutSeconds | quote }}
        - name: HOLDFAST_RELAY_SETUP_TIMEOUT_SECONDS
          value: {{ $values.setupTimeoutSeconds | quote }}
        - name: HOLDFAST_RELAY_DELETE_DELAY_SECONDS
          value: {{ $values.deleteDelaySeconds | quote }}
        {{- with $values.dtmfLog }}
        - name: HOLDFAST_RELAY_DTMF_LOG
          value: {{ . | quote }}
        {{- end }}
        {{- with $values.webhook }}
        - name: HOLDFAST_RELAY_WEBHOOK
          value: {{ . | quote }}
        {{- end }}
        {{- end }}
        {{- with $values.features }}
        - name: HOLDFAST_RELAY_FEATURES
          value: {{ join "," . | quote }}
        {{- end }}
        - name: HOLDFAST_DRAIN_DEADLINE_SECONDS
          value: {{ $values.drainDeadlineSeconds | quote }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - { name: http, containerPort: {{ $values.ports.http }} }
        {{- if eq $values.kind "builtin" }}
        - { name: control, containerPort: {{ $values.ports.control }}, protocol: UDP }
        {{- if .Values.selection.rtpproxy.enabled }}
        - { name: rtpproxy, containerPort: {{ $values.ports.rtpproxy }}, protocol: UDP }
        {{- end }}
        {{- end }}
      {{- include "holdfast.probes" . | nindent 6 }}
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "holdfast.mounts" . | nindent 8 }}
  volumes:
    {{- include "holdfast.volumes" . | nindent 4 }}
{{- end }}

{{/*
Forwarding in the kernel takes one capability. Kubernetes gives it to root alone: other users lose it when the program starts,
for there are no ambient capabilities.
*/}}
{{- define "holdfast.relay.security" -}}
{{- $kernel := dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false "capabilities" (dict "add" (list "NET_ADMIN")) -}}
{{- $changes := eq .Values.relay.forwarding "userspace" | ternary dict $kernel -}}
{{- mustMergeOverwrite (include "holdfast.restricted" . | fromYaml) $changes | toYaml }}
{{- end }}

{{/*
rtpengine starts before the relay node and is told to stop only after it has ended, which is when the calls are over:
that is what an init container with restartPolicy Always is for.
*/}}
{{- define "holdfast.relay.rtpengine" -}}
{{- $values := .Values.relay -}}
{{- $rtpengine := $values.rtpengine -}}
{{- $control := printf "%s:%v" (include "holdfast.podAddress" .) $values.ports.control -}}
- name: rtpengine
  restartPolicy: Always
  image: {{ include "holdfast.image" (list $rtpengine.image "") | quote }}
  imagePullPolicy: {{ $rtpengine.image.pullPolicy }}
  securityContext:
    {{- mustMergeOverwrite (include "holdfast.restricted" . | fromYaml) $rtpengine.securityContext | toYaml | nindent 4 }}
  command:
    {{- toYaml $rtpengine.command | nindent 4 }}
  args:
    - --config-file=none
    - --foreground
    - --log-stderr
    - --table={{ $rtpengine.table }}
    - --listen-ng={{ $control }}
    # Kubernetes can probe TCP, and not UDP.
    - --listen-tcp-ng={{ $control }}
    {{- range $rtpengine.interfaces }}
    - --interface={{ . }}
    {{- else }}
    {{- range $name, $address := $values.media }}
    - --interface={{ $name }}/{{ $address }}
    {{- end }}
    {{- end }}
    - --port-min={{ $values.ports.mediaMin }}
    - --port-max={{ $values.ports.mediaMax }}
    {{- with $values.capacity }}
    - --max-sessions={{ int64 . }}
    {{- end }}
    {{- with $rtpengine.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "holdfast.podIpEnv" . | nindent 4 }}
  ports:
    - { name: control, containerPort: {{ $values.ports.control }}, protocol: UDP }
    - { name: control-tcp, containerPort: {{ $values.ports.control }} }
  startupProbe:
    tcpSocket: { port: control-tcp }
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    tcpSocket: { port: control-tcp }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  {{- with $rtpengine.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - { name: tmp, mountPath: /tmp }
{{- end }}
