{{/* Names the pod in each trace, unless config sets OTEL_RESOURCE_ATTRIBUTES. */}}
{{- define "reference-service.traceEnv" -}}
{{- if not (hasKey .Values.config "OTEL_RESOURCE_ATTRIBUTES") }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name={{ .Release.Namespace }}
{{- end }}
{{- end }}
