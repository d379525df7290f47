{{/* Egress rules: DNS and the dependencies. The service and its migration have the same. */}}
{{- define "reference-service.egress" -}}
{{- $policy := .Values.networkPolicy -}}
egress:
  {{- with $policy.dns }}
  - ports:
      {{- range $policy.dnsPorts }}
      - {port: {{ . }}, protocol: UDP}
      - {port: {{ . }}, protocol: TCP}
      {{- end }}
    to:
      {{- toYaml . | nindent 6 }}
  {{- end }}
  {{- range $name, $dependency := $policy.dependencies }}
  # {{ $name }}
  - ports:
      {{- range $dependency.ports }}
      - {port: {{ . }}, protocol: {{ $dependency.protocol | default "TCP" }}}
      {{- end }}
      {{- if $policy.ambient }}
      - {port: 15008, protocol: TCP}
      {{- end }}
    {{- with $dependency.to }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end }}
