{{/* Who may be reached. */}}

{{/* Egress that launcher and trainers share: names, the store, the exchange. */}}
{{- define "atb.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range include "atb.ports" . | fromJsonArray }}
    - port: {{ int . }}
      protocol: TCP
    {{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "atb.portOf" -}}
{{- $host := (urlParse .).host -}}
{{- ternary (regexFind "[0-9]+$" $host) (ternary "443" "80" (hasPrefix "https:" .)) (regexMatch ":[0-9]+$" $host) -}}
{{- end -}}

{{/* Ports of store and exchange, with the one of store.endpointUrl. */}}
{{- define "atb.ports" -}}
{{- $ports := .Values.networkPolicy.ports -}}
{{- with .Values.store.endpointUrl -}}
{{- $ports = append $ports (include "atb.portOf" . | atoi) -}}
{{- end -}}
{{- $whole := list -}}
{{- range $ports -}}{{- $whole = append $whole (int .) -}}{{- end -}}
{{- uniq $whole | toJson -}}
{{- end -}}
