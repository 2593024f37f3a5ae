{{/* Names, labels, images and the security that every Pod has. */}}

{{/* The release and the chart in one name, before any suffix; characters that a name can't have become -. */}}
{{- define "atb.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- regexReplaceAll "[^a-z0-9.]+" (default $full .Values.fullnameOverride | lower) "-" | trimAll "-." | default "atb" -}}
{{- end -}}

{{/*
An object's name: fullname and suffix; where that is too long, its beginning and 8 hex digits of all of it.
Takes root, suffix and optionally limit.
*/}}
{{- define "atb.objectName" -}}
{{- $full := printf "%s-%s" (include "atb.fullname" .root) .suffix -}}
{{- $limit := int (default 63 .limit) -}}
{{- if gt (len $full) $limit -}}
{{- printf "%s-%s" (trunc (int (sub $limit 9)) $full | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. Takes root and component. */}}
{{- define "atb.labels" -}}
{{ include "atb.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Labels that tell this release's Pods of one component. Takes root and component. */}}
{{- define "atb.selectorLabels" -}}
app.kubernetes.io/name: atb
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* An image by digest, else by tag, else by the chart's appVersion. Takes root and image. */}}
{{- define "atb.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the restricted Pod Security level asks of a Pod. No fixed user where jobs.runAsUser is null. */}}
{{- define "atb.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.jobs.runAsUser }}
runAsUser: {{ int . }}
runAsGroup: {{ int . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* … and of a container. */}}
{{- define "atb.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
{{- end -}}

{{/* Environment for the store, for libraries that look for a home, and what the values add. Takes root and env. */}}
{{- define "atb.env" -}}
- name: HOME
  value: /tmp
- name: TMPDIR
  value: /tmp
{{- with .root.Values.store.endpointUrl }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . | quote }}
{{- end }}
{{- with .root.Values.store.region }}
- name: AWS_DEFAULT_REGION
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* Environment by reference: the store's credentials and what the values add. Takes root, secrets and configMaps. */}}
{{- define "atb.envFrom" -}}
{{- $secrets := concat (ternary (list .root.Values.store.secret) list (ne .root.Values.store.secret "")) .secrets -}}
{{- if or $secrets .configMaps -}}
envFrom:
  {{- range $secrets }}
  - secretRef:
      name: {{ . }}
  {{- end }}
  {{- range .configMaps }}
  - configMapRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "atb.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* On which nodes trainers run. Takes root and nodeSelector, labels besides those of jobs.nodeSelector. */}}
{{- define "atb.trainerPlacement" -}}
{{- $jobs := .root.Values.jobs -}}
{{- with $jobs.runtimeClass }}
runtimeClassName: {{ . }}
{{- end }}
{{- with merge (dict) $jobs.nodeSelector .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $jobs.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := list }}
{{- if gt (int $jobs.gpus) 0 }}
{{- range list $jobs.gpuResource (printf "%s/gpu" (splitList "/" $jobs.gpuResource | first)) | uniq | sortAlpha }}
{{- $tolerations = append $tolerations (dict "key" . "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- end }}
{{- with concat $tolerations $jobs.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
