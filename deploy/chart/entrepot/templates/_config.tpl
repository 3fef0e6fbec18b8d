{{/* Where the cache listens: on IPv6 where the Service has it, which takes IPv4 as well. */}}
{{- define "entrepot.anyAddress" -}}
{{- ternary "[::]" "0.0.0.0" (has "IPv6" .Values.service.ipFamilies) }}
{{- end }}

{{/* entrepot.yaml: what the chart knows, and above it what `config` says. */}}
{{- define "entrepot.config" -}}
{{- $secrets := "/run/secrets/entrepot" }}
{{- $any := include "entrepot.anyAddress" . }}
{{- $config := dict "listen" (printf "%s:5000" $any) "storage" (dict "dir" "/var/lib/entrepot") }}
{{- if include "entrepot.adminExposed" . }}
{{- $_ := set $config "admin" (printf "%s:5001" $any) }}
{{- $_ := set $config "adminTokenFile" (printf "%s/admin/adminToken" $secrets) }}
{{- $_ := set $config "readTokenFile" (printf "%s/admin/readToken" $secrets) }}
{{- else }}
{{- $_ := set $config "admin" "127.0.0.1:5001" }}
{{- end }}
{{- if .Values.admin.tls.existingSecret }}
{{- $_ := set $config "adminTls" (dict "certificate" (printf "%s/admin-tls/tls.crt" $secrets) "key" (printf "%s/admin-tls/tls.key" $secrets)) }}
{{- end }}
{{- if include "entrepot.tlsSecret" . }}
{{- $_ := set $config "tls" (dict "certificate" (printf "%s/tls/tls.crt" $secrets) "key" (printf "%s/tls/tls.key" $secrets)) }}
{{- end }}
{{- if include "entrepot.hasCluster" . }}
{{- $cluster := dict "listen" (printf "%s:5002" $any) "secretFile" (printf "%s/cluster/secret" $secrets) }}
{{- if .Values.cluster.database.existingSecret }}
{{- $_ := set $cluster "database" (dict "urlFile" (printf "%s/database/url" $secrets)) }}
{{- end }}
{{- with .Values.cluster.store }}
{{- if .url }}
{{- $store := merge (dict "url" .url) .settings }}
{{- if .existingSecret }}
{{- $_ := set $store "accessKeyFile" (printf "%s/store/accessKey" $secrets) }}
{{- $_ := set $store "secretKeyFile" (printf "%s/store/secretKey" $secrets) }}
{{- end }}
{{- $_ := set $cluster "store" $store }}
{{- end }}
{{- end }}
{{- $_ := set $config "cluster" $cluster }}
{{- end }}
{{- toYaml (mergeOverwrite $config (deepCopy .Values.config)) }}
{{- end }}

{{/* The part of entrepot.yaml that a running cache cannot take up: all but what it is known to. */}}
{{- define "entrepot.restartConfig" -}}
{{- $config := include "entrepot.config" . | fromYaml }}
{{- if .Values.restartOnConfigChange }}
{{- toYaml $config }}
{{- else }}
{{- $part := omit $config "audit" "events" "kubernetes" "maxRate" "warm" "upstreams" "tls" "adminTls" "cluster" }}
{{- $_ := set $part "tls" (hasKey $config "tls") }}
{{- $_ := set $part "adminTls" (hasKey $config "adminTls") }}
{{- $_ := set $part "cluster" (omit (default dict $config.cluster) "members") }}
{{- $upstreams := dict }}
{{- range $name, $upstream := default dict $config.upstreams }}
{{- with pick (default dict $upstream) "port" "listen" "pathPrefix" }}
{{- $_ := set $upstreams $name . }}
{{- end }}
{{- end }}
{{- $_ := set $part "upstreams" $upstreams }}
{{- toYaml $part }}
{{- end }}
{{- end }}

{{/* The ports of single upstreams, as JSON: a list. */}}
{{- define "entrepot.upstreamPorts" -}}
{{- $ports := list }}
{{- range $name, $upstream := default dict .Values.config.upstreams }}
{{- with $upstream }}
{{- if .port }}
{{- $ports = append $ports (int .port) }}
{{- else if .listen }}
{{- $ports = append $ports (int (regexFind "[0-9]+$" (toString .listen))) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson ($ports | uniq | sortAlpha) }}
{{- end }}
