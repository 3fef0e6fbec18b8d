{{/* Whether the admin port is reached from outside of the pod. */}}
{{- define "entrepot.adminExposed" -}}
{{- if or .Values.admin.expose .Values.serviceMonitor.enabled }}true{{ end }}
{{- end }}

{{/* The Secret with adminToken and readToken. */}}
{{- define "entrepot.adminSecret" -}}
{{- default (printf "%s-admin" (include "entrepot.fullname" .)) .Values.admin.existingSecret }}
{{- end }}

{{/* The Secret that replicas share. */}}
{{- define "entrepot.clusterSecret" -}}
{{- default (printf "%s-cluster" (include "entrepot.fullname" .)) .Values.cluster.existingSecret }}
{{- end }}

{{/* The Secret with the certificate of the port for nodes (tls.crt, tls.key), if there is one. */}}
{{- define "entrepot.tlsSecret" -}}
{{- if .Values.tls.existingSecret }}
{{- .Values.tls.existingSecret }}
{{- else if .Values.certificate.enabled }}
{{- printf "%s-tls" (include "entrepot.fullname" .) }}
{{- end }}
{{- end }}

{{/* The Secret with the CA of that certificate, if it is not one that everybody trusts; nodes.ca.key is its key. */}}
{{- define "entrepot.tlsCaSecret" -}}
{{- if include "entrepot.tlsSecret" . }}
{{- default (ternary (include "entrepot.tlsSecret" .) "" .Values.certificate.enabled) .Values.nodes.ca.existingSecret }}
{{- end }}
{{- end }}

{{- define "entrepot.isCluster" -}}
{{- if gt (int .Values.replicaCount) 1 }}true{{ end }}
{{- end }}

{{/* Whether the configuration has a cluster: for several replicas, and for one that shares a store. */}}
{{- define "entrepot.hasCluster" -}}
{{- if or (include "entrepot.isCluster" .) .Values.cluster.database.existingSecret .Values.cluster.store.url }}true{{ end }}
{{- end }}

{{/* Secrets whose keys are files of the pod, below /run/secrets: the folder of each. */}}
{{- define "entrepot.mountedSecrets" -}}
{{- $mounted := dict }}
{{- if include "entrepot.adminExposed" . }}
{{- $_ := set $mounted "entrepot/admin" (include "entrepot.adminSecret" .) }}
{{- end }}
{{- with include "entrepot.tlsSecret" . }}
{{- $_ := set $mounted "entrepot/tls" . }}
{{- end }}
{{- with .Values.admin.tls.existingSecret }}
{{- $_ := set $mounted "entrepot/admin-tls" . }}
{{- end }}
{{- if include "entrepot.hasCluster" . }}
{{- $_ := set $mounted "entrepot/cluster" (include "entrepot.clusterSecret" .) }}
{{- with .Values.cluster.database.existingSecret }}
{{- $_ := set $mounted "entrepot/database" . }}
{{- end }}
{{- with .Values.cluster.store.existingSecret }}
{{- $_ := set $mounted "entrepot/store" . }}
{{- end }}
{{- end }}
{{- range $name, $secret := .Values.secretMounts }}
{{- $_ := set $mounted $name $secret }}
{{- end }}
{{- toYaml $mounted }}
{{- end }}

{{/* The name of the volume of a mounted Secret: a dict of the folder. */}}
{{- define "entrepot.secretVolume" -}}
{{- printf "secret-%s" . | replace "/" "-" | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
A Secret with random values, which are made once. A dict of root, the Secret's name (short: its name after the
release's), what it is for, keys (each with its length), and what to set in its place.

A renderer that sees no cluster (helm template, Argo CD) does not see the Secret of its last rendering either: it would
give each rendering other values.
*/}}
{{- define "entrepot.generatedSecret" -}}
{{- $name := printf "%s-%s" (include "entrepot.fullname" .root) .short }}
{{- $namespace := include "entrepot.namespace" .root }}
{{- $old := lookup "v1" "Secret" $namespace $name }}
{{- if not (or $old (lookup "v1" "Namespace" "" "kube-system")) }}
{{- $literals := list }}
{{- range $key, $_ := .keys }}
{{- $literals = append $literals (printf "--from-literal=%s=\"$(openssl rand -hex 32)\"" $key) }}
{{- end }}
{{- fail (printf "%s: this rendering sees no cluster, as with helm template and Argo CD, so random values would change each time. Make the Secret once: kubectl -n %s create secret generic %s %s   Then set %s=%s" .purpose $namespace $name (join " " $literals) .setting $name) }}
{{- end }}
apiVersion: v1
kind: Secret
metadata:
  {{- include "entrepot.metadata" (dict "root" .root "name" .short "annotations" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
type: Opaque
data:
  {{- range $key, $length := .keys }}
  {{ $key }}: {{ dig "data" $key "" (default dict $old) | default (randAlphaNum (int $length) | b64enc) }}
  {{- end }}
{{- end }}
