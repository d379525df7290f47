{{/* Names, labels, and the fields that all pods share. */}}

{{/* The release's name. The chart's name is appended if the release's name does not contain it.
44 characters leave room for suffixes. */}}
{{- define "reference-service.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- if gt (len $name) 44 -}}
{{- $name = printf "%s-%s" ($name | trunc 37 | trimSuffix "-") (sha256sum $name | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* Labels of every object: the chart's own, and commonLabels. */}}
{{- define "reference-service.labels" -}}
{{- toYaml (merge (include "reference-service.ownLabels" . | fromYaml) .Values.commonLabels) -}}
{{- end }}

{{- define "reference-service.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "reference-service.release" . }}
{{- end }}

{{/* Metadata of an object. Arguments: root; name; labels and annotations that only this object has. */}}
{{- define "reference-service.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- toYaml (merge dict (.labels | default dict) (include "reference-service.labels" .root | fromYaml)) | nindent 2 }}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Selects all pods of this release. */}}
{{- define "reference-service.release" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Selects the pods that serve requests. */}}
{{- define "reference-service.selector" -}}
{{ include "reference-service.release" . }}
app.kubernetes.io/component: service
{{- end }}

{{- define "reference-service.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "reference-service.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "reference-service.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "reference-service.secret" -}}
{{ .Values.secret.name | default (include "reference-service.fullname" .) }}
{{- end }}

{{/* No token: the service does not call the Kubernetes API. */}}
{{- define "reference-service.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Exceptions for a scanner (checkov), with reasons, for every object that has a pod. */}}
{{- define "reference-service.scanned" -}}
checkov.io/skip1: CKV_K8S_43=The digest is known only after the image is pushed; set it with image.digest.
checkov.io/skip2: CKV_K8S_15=A version is pushed once, so a node that has it can start a pod without the registry.
{{- end }}

{{- define "reference-service.containerSecurity" -}}
image: {{ include "reference-service.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Volumes of a pod, and where its container mounts them: /tmp, and the configured ones. */}}
{{- define "reference-service.volumes" -}}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ .Values.tmpSizeLimit }}
  {{- with .Values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "reference-service.volumeMounts" -}}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Number of pods. An autoscaler changes it, so the number in the cluster is kept. Without a cluster,
as for `helm template`, or before the first installation, it is replicaCount. Arguments: root, apiVersion,
kind. */}}
{{- define "reference-service.replicas" -}}
{{- $values := .root.Values -}}
{{- if $values.autoscaling.enabled -}}
{{- $live := lookup .apiVersion .kind .root.Release.Namespace (include "reference-service.fullname" .root) -}}
{{- max (dig "spec" "replicas" $values.replicaCount ($live | default dict) | int) (int $values.autoscaling.minReplicas) -}}
{{- else -}}
{{- $values.replicaCount -}}
{{- end -}}
{{- end }}

{{/* Settings that are not secret, as strings. */}}
{{- define "reference-service.config" -}}
SERVICE_ENVIRONMENT: production
SERVICE_DRAIN_DELAY: {{ .Values.drain.delay | quote }}
SERVICE_SHUTDOWN_TIMEOUT: {{ .Values.drain.timeout | quote }}
{{- range $name, $value := .Values.config }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* All other environment variables of the service's container. */}}
{{- define "reference-service.env" -}}
{{- include "reference-service.secretEnv" . }}
{{- include "reference-service.traceEnv" . }} # feature: observability
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Settings that are secret. */}}
{{- define "reference-service.secretEnv" -}}
{{- range .Values.secret.keys }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ include "reference-service.secret" $ }}
      key: {{ . }}
{{- end }}
{{- end }}
