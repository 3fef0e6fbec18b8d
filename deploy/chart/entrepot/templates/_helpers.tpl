{{- define "entrepot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "entrepot.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "entrepot.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "entrepot.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "entrepot.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "entrepot.selectorLabels" -}}
app.kubernetes.io/name: {{ include "entrepot.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "entrepot.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "entrepot.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Metadata of a resource: a dict of root, name (after the release's), component, annotations. */ -}}
{{- define "entrepot.metadata" -}}
name: {{ include "entrepot.fullname" .root }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ include "entrepot.namespace" .root }}
labels:
  {{- include "entrepot.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "entrepot.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "entrepot.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "entrepot.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "entrepot.adminSecret" -}}
{{ default (printf "%s-admin" (include "entrepot.fullname" .)) .Values.admin.existingSecret }}
{{- end }}

{{- define "entrepot.clusterSecret" -}}
{{ default (printf "%s-cluster" (include "entrepot.fullname" .)) .Values.cluster.existingSecret }}
{{- end }}

{{- define "entrepot.tlsSecret" -}}
{{- if .Values.tls.existingSecret -}}
{{ .Values.tls.existingSecret }}
{{- else if .Values.certificate.enabled -}}
{{ include "entrepot.fullname" . }}-tls
{{- end -}}
{{- end }}

{{- define "entrepot.isCluster" -}}
{{- if gt (int .Values.replicaCount) 1 }}true{{ end -}}
{{- end }}

{{- define "entrepot.scheme" -}}
{{ if include "entrepot.tlsSecret" . }}https{{ else }}http{{ end }}
{{- end }}

{{- /* The URL of the cache for a node's runtime, in which $(NODE_IP) stands for the node's address. A runtime asks the node's
resolver, which knows nothing of Services. */ -}}
{{- define "entrepot.nodeCacheUrl" -}}
{{- $nodes := .Values.nodes | default dict -}}
{{- $scheme := include "entrepot.scheme" . -}}
{{- if $nodes.cacheUrl -}}
{{ $nodes.cacheUrl }}
{{- else if .Values.service.clusterIP -}}
{{- if eq .Values.service.clusterIP "None" }}{{ fail "service.clusterIP: None gives nodes no address of the cache: set nodes.cacheUrl" }}{{ end -}}
{{ $scheme }}://{{ if contains ":" .Values.service.clusterIP }}[{{ .Values.service.clusterIP }}]{{ else }}{{ .Values.service.clusterIP }}{{ end }}:{{ .Values.service.port }}
{{- else if eq .Values.service.type "NodePort" -}}
{{ $scheme }}://$(NODE_IP):{{ .Values.service.nodePort }}
{{- else if and (eq .Values.service.type "LoadBalancer") .Values.service.loadBalancerIP -}}
{{ $scheme }}://{{ .Values.service.loadBalancerIP }}:{{ .Values.service.port }}
{{- else -}}
{{ fail (printf "service.type %s gives nodes no address of the cache that is known now, and they cannot resolve names of Services: use NodePort, set service.clusterIP or service.loadBalancerIP, or set nodes.cacheUrl" .Values.service.type) }}
{{- end -}}
{{- end }}

{{- /* The file entrepot.yaml. */ -}}
{{- define "entrepot.config" -}}
{{- $secrets := "/run/secrets/entrepot" -}}
{{- $config := dict "listen" "0.0.0.0:5000" "admin" "0.0.0.0:5001" "adminTokenFile" (printf "%s/admin/adminToken" $secrets) "readTokenFile" (printf "%s/admin/readToken" $secrets) "storage" (dict "dir" "/var/lib/entrepot") -}}
{{- if include "entrepot.tlsSecret" . -}}
{{- $_ := set $config "tls" (dict "certificate" (printf "%s/tls/tls.crt" $secrets) "key" (printf "%s/tls/tls.key" $secrets)) -}}
{{- end -}}
{{- if include "entrepot.isCluster" . -}}
{{- $store := merge (dict "url" .Values.cluster.store.url) .Values.cluster.store.settings -}}
{{- if .Values.cluster.store.existingSecret -}}
{{- $_ := set $store "accessKeyFile" (printf "%s/store/accessKey" $secrets) -}}
{{- $_ := set $store "secretKeyFile" (printf "%s/store/secretKey" $secrets) -}}
{{- end -}}
{{- $_ := set $config "cluster" (dict "listen" "0.0.0.0:5002" "secretFile" (printf "%s/cluster/secret" $secrets) "database" (dict "urlFile" (printf "%s/database/url" $secrets)) "store" $store) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config (deepCopy .Values.config)) -}}
{{- end }}
