{{- define "entrepot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the resources. It leaves room for what resources, and the pods of a revision, append to it. */}}
{{- define "entrepot.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" }}
{{- else if contains (include "entrepot.name" .) .Release.Name }}
{{- .Release.Name | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "entrepot.name" .) | trunc 46 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "entrepot.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Labels that never change: selectors and claims of volumes have them. */}}
{{- define "entrepot.selectorLabels" -}}
app.kubernetes.io/name: {{ include "entrepot.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every resource; each adds its app.kubernetes.io/component. */}}
{{- define "entrepot.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "entrepot.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What selects the cache's pods. */}}
{{- define "entrepot.cacheSelector" -}}
{{ include "entrepot.selectorLabels" . }}
app.kubernetes.io/component: cache
{{- end }}

{{/*
Metadata of a resource. A dict of root, and where there is any: name (after the release's), component, labels,
annotations; global for one that is in no namespace.
*/}}
{{- define "entrepot.metadata" -}}
name: {{ include "entrepot.fullname" .root }}{{ with .name }}-{{ . }}{{ end }}
{{- if not .global }}
namespace: {{ include "entrepot.namespace" .root }}
{{- end }}
labels:
  {{- include "entrepot.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ default "cache" .component }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image as a whole reference. */}}
{{- define "entrepot.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "entrepot.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "entrepot.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Whether the cache reads this cluster, with the token of its service account. */}}
{{- define "entrepot.readsCluster" -}}
{{- if and (hasKey .Values.config "kubernetes") (not (dig "kubernetes" "kubeconfig" "" .Values.config)) }}true{{ end }}
{{- end }}
