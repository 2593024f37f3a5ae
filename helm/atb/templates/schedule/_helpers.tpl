{{/* A schedule's CronJob: its name, its period, its launcher's arguments. */}}

{{/*
Fails for a value that looks like a secret, wherever it is, and for a plain variable in a podPatch that is named like one:
both could be read in the rendered objects. The first pattern is TELLING_VALUE of atb/redaction.py.
*/}}
{{- define "atb.checkSecrets" -}}
{{- $value := `([^h]|[^s]h)://[^/\s]*@|://[^/\s@:]*:[^/\s]*@|-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\b(IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9+/=]{16,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.|\b(gh[pousr]_|github_pat_|glpat-|xox[abeprs]-)[A-Za-z0-9_-]{16,}|\b(npm_|hf_|AIza|sk-)[A-Za-z0-9]{20,}|\bsk-(proj|ant)-[A-Za-z0-9_-]{20,}|[?&#;][A-Za-z0-9_.-]*(?i:token|secret|passwd|password|signature|credential|api[_-]?key|access[_-]?key)=|[?&#;](?i:sig|auth|pwd|pass|key|jwt)=|(?i:password|passwd|passphrase|token|api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret)=[^$/\s\"\\]|(^|\")[A-Za-z][\w.-]*:[^\s/@\"]+@[\w.-]+(:[0-9]{1,5})?/?($|\")` -}}
{{- $variable := `"name":"[^"]*(?i:secret|passw|passphrase|token|credential|private|api_?key|access_?key|_auth|bearer|cookie)[^"]*","value":"[^"]` -}}
{{- $pattern := printf "%s|%s" $value $variable -}}
{{- range $section, $values := .Values -}}
{{- range $key, $inner := ternary $values (dict "" $values) (kindIs "map" $values) -}}
{{- if regexMatch $pattern (toRawJson $inner | replace `"files:` `"files ` | replace `"ccxt:` `"ccxt `) -}}
{{- fail (printf "%s: a value in it looks like a secret, and could be read in the cluster; put it in a Secret (kubectl create secret generic NAME --from-env-file=FILE) and name that in launcher.envFromSecrets or jobs.envFromSecrets, or in a podPatch by valueFrom" (list $section $key | join "." | trimSuffix ".")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A regular expression that matches the release's schedules. */}}
{{- define "atb.schedulePattern" -}}
{{- $names := list -}}
{{- range .Values.schedules -}}
{{- $names = append $names (include "atb.cronJobName" (dict "root" $ "name" .name)) -}}
{{- end -}}
{{- join "|" $names -}}
{{- end -}}

{{/* A CronJob's name has 52 characters at most: its Jobs' names add 11. Takes root and name. */}}
{{- define "atb.cronJobName" -}}
{{- include "atb.objectName" (dict "root" .root "suffix" .name "limit" 52) -}}
{{- end -}}

{{/*
The options of the Jobs as the launcher reads them, in its own spelling. Takes root, jobs and path, which names the
values that jobs is from.
*/}}
{{- define "atb.clusterOptions" -}}
{{- include "atb.checkJobs" . -}}
{{- $options := dict "run_as_user" nil -}}
{{- $jobs := .jobs -}}
{{- with .root -}}
{{- range $key, $value := $jobs -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $options (snakecase $key) $value -}}
{{- end -}}
{{- end -}}
{{- $labels := dict "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/component" "trainer" -}}
{{- $_ := set $options "labels" (merge (dict) $labels $jobs.labels) -}}
{{- if .Values.store.secret -}}
{{- $_ := set $options "env_from_secrets" (prepend $jobs.envFromSecrets .Values.store.secret) -}}
{{- end -}}
{{- if .Values.store.region -}}
{{- $_ := set $options "env" (merge (dict) $jobs.env (dict "AWS_DEFAULT_REGION" .Values.store.region)) -}}
{{- end -}}
{{- $_ := set $options "image" (include "atb.image" (dict "root" . "image" .Values.trainer.image)) -}}
{{- $_ := set $options "image_pull_policy" .Values.trainer.image.pullPolicy -}}
{{- $_ := set $options "image_pull_secrets" .Values.imagePullSecrets -}}
{{- $_ := set $options "namespace" .Release.Namespace -}}
{{- $_ := set $options "service_account" (include "atb.trainerAccount" .) -}}
{{- toYaml $options -}}
{{- end -}}
{{- end -}}

{{/* The values of jobs with a schedule's own over them. Takes root and own. */}}
{{- define "atb.jobsOf" -}}
{{- $jobs := deepCopy .root.Values.jobs -}}
{{- range $key, $value := .own -}}
{{- $under := get $jobs $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $under) -}}
{{- $_ := set $jobs $key (mustMergeOverwrite (deepCopy $under) $value) -}}
{{- else -}}
{{- $_ := set $jobs $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $jobs -}}
{{- end -}}

{{/* The file of the options of a schedule's Jobs. Takes schedule. */}}
{{- define "atb.clusterFile" -}}
{{- ternary (printf "schedule-%s.yaml" .schedule.name) "cluster.yaml" (not (empty .schedule.jobs)) -}}
{{- end -}}

{{/* Whether some schedule's Jobs wait in a queue: "true" or nothing. */}}
{{- define "atb.queues" -}}
{{- $found := not (empty .Values.jobs.queue) -}}
{{- range .Values.schedules -}}
{{- $found = or $found (not (empty (dig "jobs" "queue" "" .))) -}}
{{- end -}}
{{- if $found -}}true{{- end -}}
{{- end -}}

{{/*
Numbers that a cron field names, joined by commas; what the API server would refuse fails here. Takes field, low, high,
path and optionally names, those of the numbers from low on.
*/}}
{{- define "atb.cronNumbers" -}}
{{- $found := list -}}
{{- $low := int .low -}}
{{- $high := int .high -}}
{{- $field := upper .field -}}
{{- range $index, $name := .names -}}
{{- $field = replace $name (add $low $index | toString) $field -}}
{{- end -}}
{{- range $part := splitList "," $field -}}
{{- if not (regexMatch "^([*?]|[0-9]{1,2}(-[0-9]{1,2})?)(/0*[1-9][0-9]{0,8})?$" $part) -}}
{{- fail (printf "%s: %q is no cron field" $.path $.field) -}}
{{- end -}}
{{- $range := splitList "/" $part -}}
{{- $ends := splitList "-" (replace "?" "*" (first $range)) -}}
{{- $all := eq (first $ends) "*" -}}
{{- $open := or $all (and (eq (len $ends) 1) (eq (len $range) 2)) -}}
{{- $from := int (ternary ($low | toString) (first $ends) $all | trimPrefix "0" | default "0") -}}
{{- $to := int (ternary ($high | toString) (last $ends) $open | trimPrefix "0" | default "0") -}}
{{- if or (lt $from $low) (gt $from $to) (gt $to $high) -}}
{{- fail (printf "%s: %q is out of range, which is %d to %d" $.path $.field $low $high) -}}
{{- end -}}
{{- $step := ternary (last $range | trimPrefix "0") "1" (eq (len $range) 2) | atoi -}}
{{- range untilStep $from (add $to 1 | int) $step -}}
{{- $found = append $found (printf "%02d" .) -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | sortAlpha | join "," -}}
{{- end -}}

{{/* The shortest gap between sorted numbers, as on a clock of the given size. Takes numbers and size. */}}
{{- define "atb.shortestGap" -}}
{{- $numbers := splitList "," .numbers -}}
{{- $last := sub (atoi (trimPrefix "0" (last $numbers) | default "0")) (int .size) -}}
{{- $shortest := int .size -}}
{{- range $numbers -}}
{{- $number := atoi (trimPrefix "0" . | default "0") -}}
{{- $shortest = min $shortest (sub $number $last) -}}
{{- $last = $number -}}
{{- end -}}
{{- $shortest -}}
{{- end -}}

{{/*
At least how many seconds lie between two firings of a cron expression. Takes cron and path.

Helm has no function for this, and two promises need it. With concurrencyPolicy Forbid a launcher that hangs would keep every
later firing from starting, silently, so its deadline must be below the period. And an expression that the API server refuses,
such as 1-8 for days of the week, fails here with its path, before an upgrade has changed anything.
*/}}
{{- define "atb.cronPeriod" -}}
{{- $day := 86400 -}}
{{- $macros := dict "@hourly" 3600 "@daily" $day "@midnight" $day "@weekly" (mul 7 $day) "@monthly" (mul 28 $day) "@yearly" (mul 365 $day) "@annually" (mul 365 $day) -}}
{{- if hasKey $macros .cron -}}
{{- get $macros .cron -}}
{{- else -}}
{{- $fields := splitList " " .cron -}}
{{- $minutes := include "atb.cronNumbers" (dict "field" (index $fields 0) "low" 0 "high" 59 "path" .path) -}}
{{- $hours := include "atb.cronNumbers" (dict "field" (index $fields 1) "low" 0 "high" 23 "path" .path) -}}
{{- $days := include "atb.cronNumbers" (dict "field" (index $fields 2) "low" 1 "high" 31 "path" .path) -}}
{{- $months := list "JAN" "FEB" "MAR" "APR" "MAY" "JUN" "JUL" "AUG" "SEP" "OCT" "NOV" "DEC" -}}
{{- $inYear := include "atb.cronNumbers" (dict "field" (index $fields 3) "low" 1 "high" 12 "names" $months "path" .path) -}}
{{- $names := list "SUN" "MON" "TUE" "WED" "THU" "FRI" "SAT" -}}
{{- $weekdays := include "atb.cronNumbers" (dict "field" (index $fields 4) "low" 0 "high" 6 "names" $names "path" .path) -}}
{{- if has (index $fields 4) (list "*" "?") -}}
{{- $longest := 0 -}}
{{- range splitList "," $inYear -}}
{{- $longest = max $longest (index (list 31 29 31 30 31 30 31 31 30 31 30 31) (sub (atoi (trimPrefix "0" .)) 1 | int)) -}}
{{- end -}}
{{- if gt (atoi (first (splitList "," $days) | trimPrefix "0")) (int $longest) -}}
{{- fail (printf "%s: %q never fires: no such month has that day" .path .cron) -}}
{{- end -}}
{{- end -}}
{{- $hourGap := mul 3600 (include "atb.shortestGap" (dict "numbers" $hours "size" 24)) -}}
{{- if contains "," $minutes -}}
{{- mul 60 (include "atb.shortestGap" (dict "numbers" $minutes "size" 60)) -}}
{{- else if contains "," $hours -}}
{{- $hourGap -}}
{{- else if and (has (index $fields 2) (list "*" "?")) (not (contains "," $weekdays)) -}}
{{- mul 7 $day -}}
{{- else if and (has (index $fields 4) (list "*" "?")) (not (contains "," $days)) -}}
{{- mul 28 $day -}}
{{- else -}}
{{- $day -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Fails for a time zone that is none. Go reads an unknown one as UTC, and all of them where it has no data of time zones:
then nothing is said. Takes zone and path.
*/}}
{{- define "atb.checkTimeZone" -}}
{{- $known := ne (dateInZone "MST" now "Europe/Berlin") "UTC" -}}
{{- $utc := regexMatch "^(Etc/)?(UTC|UCT|Universal|Zulu)$" .zone -}}
{{- if and $known (not $utc) (eq (dateInZone "MST" now .zone) "UTC") -}}
{{- fail (printf "%s.timeZone: %q is no time zone; write one like Europe/Berlin or Etc/UTC" .path .zone) -}}
{{- end -}}
{{- end -}}

{{/* How many bytes a quantity is, as a float. */}}
{{- define "atb.bytes" -}}
{{- $units := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $number := regexFind "^[+]?[0-9.]+([eE][+-]?[0-9]+)?" . -}}
{{- $unit := trimPrefix $number . -}}
{{- mulf (float64 $number) (get $units $unit) -}}
{{- end -}}

{{/* Fails where options of Jobs can't be combined. Takes jobs and path. */}}
{{- define "atb.checkJobs" -}}
{{- if and .jobs.onDemandAfter (not .jobs.spot) -}}
{{- fail (printf "%s.onDemandAfter: needs %s.spot, the label that spot nodes have" .path .path) -}}
{{- end -}}
{{- range $name := list "memory" "scratchSize" -}}
{{- $size := get $.jobs $name -}}
{{- if lt (include "atb.bytes" $size | float64) 1048576.0 -}}
{{- fail (printf "%s.%s: %s is less than 1Mi of bytes; write 500Mi or 8Gi (m is a thousandth)" $.path $name $size) -}}
{{- end -}}
{{- end -}}
{{- if gt (include "atb.bytes" .jobs.memory | float64) (include "atb.bytes" .jobs.maxMemory | float64) -}}
{{- fail (printf "%s.memory: %s is above %s.maxMemory, which is %s" .path .jobs.memory .path .jobs.maxMemory) -}}
{{- end -}}
{{- end -}}

{{/* How long a schedule's launcher may run: below the period, or Forbid would skip the next. Takes schedule and path. */}}
{{- define "atb.deadline" -}}
{{- $period := int (include "atb.cronPeriod" (dict "cron" .schedule.cron "path" (printf "%s.cron" .path))) -}}
{{- $deadline := int .schedule.deadlineSeconds | default (div (mul 9 $period) 10) -}}
{{- if ge (int $deadline) $period -}}
{{- fail (printf "%s.deadlineSeconds: %d is not below the period of %q, which is %d" .path (int $deadline) .schedule.cron $period) -}}
{{- end -}}
{{- $deadline -}}
{{- end -}}

{{/* A number, text or truth as a shell-free argument: numbers without an exponent. */}}
{{- define "atb.argument" -}}
{{- ternary . (toJson .) (kindIs "string" .) -}}
{{- end -}}

{{/* The launcher's command, one argument an item. Takes root, schedule and name, the CronJob's. */}}
{{- define "atb.launchCommand" -}}
{{- $command := list "atb-launch" "--symbols" (join "," .schedule.symbols) "--presets" (join "," .schedule.presets) -}}
{{- $command = concat $command (list "--source" .schedule.source "--store" .root.Values.store.url) -}}
{{- range $name, $value := .schedule.set -}}
{{- $command = concat $command (list "--set" (printf "%s=%s" $name (include "atb.argument" $value))) -}}
{{- end -}}
{{- with .schedule.workers }}{{- $command = concat $command (list "--workers" (toString .)) -}}{{- end -}}
{{- with .schedule.slots }}{{- $command = concat $command (list "--slots" (toString .)) -}}{{- end -}}
{{- $command = concat $command (list "--schedule" .name "--promote" .schedule.promote) -}}
{{- if .schedule.acceptFirst -}}
{{- $command = append $command "--accept-first" -}}
{{- end -}}
{{- if eq .root.Values.launcher.logFormat "json" -}}
{{- $command = concat $command (list "--log-format" "json") -}}
{{- end -}}
{{- with .root.Values.metrics.pushGateway -}}
{{- $command = concat $command (list "--push-gateway" .) -}}
{{- end -}}
{{- $command = concat $command (list "--fdr" (toString .schedule.fdr) "--demotion" .schedule.demotion) -}}
{{- $command = concat $command (list "--backend" "kubernetes" "--cluster-options" (printf "/etc/atb/%s" (include "atb.clusterFile" .)) "--yes") -}}
{{- toYaml $command -}}
{{- end -}}

{{/*
Exit codes of the launcher after which another try may end better: the store, the network or the API server did not
answer, it ran out of memory, it was told to stop. After any other the same would end the same way.
*/}}
{{- define "atb.passingExitCodes" -}}
[75, 137, 143]
{{- end -}}
