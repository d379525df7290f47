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

{{- define "reference-service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "reference-service.release" . }}
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

{{/* Pod Security Standard `restricted`. No token: the service does not call the Kubernetes API. */}}
{{- define "reference-service.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
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

{{/* Other Secrets as files. A volume is named after its folder. */}}
{{- define "reference-service.volumes" -}}
{{- with .Values.secret.files }}
volumes:
  {{- range $folder, $secret := . }}
  - name: files-{{ $folder | sha256sum | trunc 8 }}
    secret:
      secretName: {{ $secret }}
      defaultMode: 0440
  {{- end }}
{{- end }}
{{- end }}

{{- define "reference-service.volumeMounts" -}}
{{- with .Values.secret.files }}
volumeMounts:
  {{- range $folder, $_ := . }}
  - name: files-{{ $folder | sha256sum | trunc 8 }}
    mountPath: {{ $folder }}
    readOnly: true
  {{- end }}
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
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
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
