{{/* Which pod a trace comes from; whoever sets the attributes themselves leaves it to them. */}}
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
