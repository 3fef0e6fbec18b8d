{{- define "entrepot.scheme" -}}
{{- ternary "https" "http" (ne (include "entrepot.tlsSecret" .) "") }}
{{- end }}

{{/* An address for a URL. */}}
{{- define "entrepot.urlHost" -}}
{{- ternary (printf "[%s]" .) . (contains ":" .) }}
{{- end }}

{{/*
The URL of the cache as the runtime of a node is told, which asks the node's own resolver: that knows nothing of
Services. It may have $(NODE_IP), which a container needs in its environment, from status.hostIP.
*/}}
{{- define "entrepot.nodeCacheUrl" -}}
{{- $scheme := include "entrepot.scheme" . }}
{{- $service := .Values.service }}
{{- $url := dig "cacheUrl" "" (default dict .Values.nodes) }}
{{- if $url }}
{{- $url }}
{{- else if .Values.hostPort.enabled }}
{{- fail (printf "hostPort: only the nodes that run the cache have it at their own port %d: set nodes.cacheUrl to an address at which every node reaches one of them, such as %s://10.0.0.7:%d" (int .Values.hostPort.port) $scheme (int .Values.hostPort.port)) }}
{{- else if and $service.clusterIP (ne $service.clusterIP "None") }}
{{- printf "%s://%s:%d" $scheme (include "entrepot.urlHost" $service.clusterIP) (int $service.port) }}
{{- else if and (eq $service.type "LoadBalancer") $service.loadBalancerIP }}
{{- printf "%s://%s:%d" $scheme (include "entrepot.urlHost" $service.loadBalancerIP) (int $service.port) }}
{{- else if and (eq $service.type "NodePort") $service.nodePort }}
{{- if eq $scheme "https" }}
{{- fail "tls: no certificate has the addresses of all nodes, at which they reach a NodePort: set nodes.cacheUrl to a name in the certificate that the nodes' resolver knows, or service.clusterIP to a fixed address in it" }}
{{- end }}
{{- printf "%s://$(NODE_IP):%d" $scheme (int $service.nodePort) }}
{{- else }}
{{- fail (printf "service.type %s: nodes have to be told an address, and their resolver knows no names of Services: set nodes.cacheUrl%s, or service.type=NodePort with a service.nodePort" $service.type (ternary ", service.loadBalancerIP" ", a fixed service.clusterIP" (eq $service.type "LoadBalancer"))) }}
{{- end }}
{{- end }}

{{/* Which replica gets a connection, in the word of the cluster's version; nothing where there is none. */}}
{{- define "entrepot.trafficDistribution" -}}
{{- $wanted := .Values.service.trafficDistribution }}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- if and $wanted (semverCompare ">=1.31.0-0" $version) }}
{{- ternary $wanted "PreferClose" (semverCompare ">=1.34.0-0" $version) }}
{{- end }}
{{- end }}
