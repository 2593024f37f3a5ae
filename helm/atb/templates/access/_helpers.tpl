{{/* The service accounts' names. */}}

{{- define "atb.launcherAccount" -}}
{{- default (include "atb.objectName" (dict "root" . "suffix" "launcher")) .Values.launcher.serviceAccount.name -}}
{{- end -}}

{{- define "atb.trainerAccount" -}}
{{- default (include "atb.objectName" (dict "root" . "suffix" "trainer")) .Values.trainer.serviceAccount.name -}}
{{- end -}}
