{{- /* What a node's pod mounts below /host, as a list of path, type, isWritable. `auto` takes directories that every node has, so
that none is made; a runtime by its name takes what is edited, and the sockets that are asked. */ -}}
{{- define "entrepot.nodeMounts" -}}
{{- $nodes := .root.Values.nodes -}}
{{- $journal := dict "path" "/var/lib/entrepot" "type" "DirectoryOrCreate" "isWritable" true -}}
{{- $run := dict "path" "/run" "type" "Directory" -}}
{{- $mounts := list -}}
{{- if eq $nodes.runtime "auto" -}}
{{- $mounts = list (dict "path" "/etc" "type" "Directory" "isWritable" true) $run (dict "path" "/usr" "type" "Directory") (dict "path" "/var/lib" "type" "Directory" "isWritable" true) -}}
{{- else if eq $nodes.runtime "containerd" -}}
{{- $mounts = list (dict "path" "/etc/containerd" "type" "DirectoryOrCreate" "isWritable" true) (dict "path" "/run/containerd" "type" "Directory") $journal -}}
{{- else if has $nodes.runtime (list "k3s" "rke2") -}}
{{- $mounts = list (dict "path" "/etc/rancher" "type" "DirectoryOrCreate" "isWritable" true) (dict "path" "/run/k3s" "type" "Directory") $journal (dict "path" "/var/lib/rancher" "type" "Directory" "isWritable" true) -}}
{{- else if eq $nodes.runtime "docker" -}}
{{- /* dockerd makes its socket anew at each start. */ -}}
{{- $mounts = list (dict "path" "/etc/docker" "type" "DirectoryOrCreate" "isWritable" true) $run $journal -}}
{{- else if eq $nodes.runtime "cri-o" -}}
{{- $mounts = list (dict "path" "/etc/containers" "type" "DirectoryOrCreate" "isWritable" true) (dict "path" "/run/crio" "type" "Directory") $journal -}}
{{- else -}}
{{- fail (printf "nodes.runtime: %s is none of auto, containerd, k3s, rke2, docker, cri-o" $nodes.runtime) -}}
{{- end -}}
{{- if and $nodes.allowRestart (not (has $nodes.runtime (list "auto" "docker"))) -}}
{{- $mounts = append $mounts (dict "path" "/run/systemd" "type" "Directory") -}}
{{- end -}}
{{- toYaml $mounts -}}
{{- end }}

{{- define "entrepot.nodeVolumeName" -}}
host{{ replace "/" "-" . }}
{{- end }}

{{- /* A container of a node's pod: root, name, args, mayRestart (whether it may ask the node's systemd), withCa. */ -}}
{{- define "entrepot.nodeContainer" -}}
{{- $nodes := .root.Values.nodes -}}
name: {{ .name }}
image: {{ include "entrepot.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args:
  {{- toYaml .args | nindent 2 }}
env:
  - name: NODE_IP
    valueFrom: { fieldRef: { fieldPath: status.hostIP } }
terminationMessagePolicy: FallbackToLogsOnError
resources:
  {{- toYaml $nodes.resources | nindent 2 }}
securityContext:
  {{- toYaml $nodes.securityContext | nindent 2 }}
# Mounts that come and go on the node do so here (HostToContainer): otherwise they would be held.
volumeMounts:
  {{- $mayRestart := .mayRestart }}
  {{- range include "entrepot.nodeMounts" . | fromYamlArray }}
  {{- if or $mayRestart (ne .path "/run/systemd") }}
  - name: {{ include "entrepot.nodeVolumeName" .path }}
    mountPath: /host{{ .path }}
    readOnly: {{ not .isWritable }}
    mountPropagation: HostToContainer
  {{- end }}
  {{- end }}
  - { name: tmp, mountPath: /tmp }
  {{- if and .withCa (include "entrepot.nodeCaSecret" .root) }}
  - { name: ca, mountPath: /run/secrets/entrepot/ca, readOnly: true }
  {{- end }}
{{- end }}

{{- define "entrepot.nodeCaSecret" -}}
{{- if .Values.nodes.ca.existingSecret -}}
{{ .Values.nodes.ca.existingSecret }}
{{- else if and .Values.certificate.enabled (hasPrefix "https:" (include "entrepot.nodeCacheUrl" .)) -}}
{{ include "entrepot.tlsSecret" . }}
{{- end -}}
{{- end }}

{{- /* The template of a pod on every node: root, serviceAccount, component, and whether it wires the node or takes that back. */ -}}
{{- define "entrepot.nodePod" -}}
{{- $nodes := .root.Values.nodes -}}
{{- $where := list "--root=/host" (printf "--runtime=%s" $nodes.runtime) -}}
{{- $isReloaded := has $nodes.runtime (list "auto" "docker" "cri-o") -}}
metadata:
  # Without the chart's version, which alone replaces no pod.
  labels:
    {{- include "entrepot.selectorLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $nodes.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $nodes.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ .serviceAccount }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  priorityClassName: {{ $nodes.priorityClassName }}
  # The cache is asked as the runtime asks it, from the node's own address: by that it tells whose pull it has served.
  hostNetwork: true
  dnsPolicy: Default
  terminationGracePeriodSeconds: 30
  securityContext:
    seccompProfile: { type: RuntimeDefault }
  {{- if .isWired }}
  {{- $apply := concat (list "node" "apply") $where (list "--live" (printf "--cache=%s" (include "entrepot.nodeCacheUrl" .root)) (printf "--wait=%s" $nodes.wait) "--keep-wired") -}}
  {{- if $nodes.allowRestart }}{{ $apply = append $apply "--yes" }}{{ end -}}
  {{- if include "entrepot.nodeCaSecret" .root }}{{ $apply = append $apply (printf "--ca=/run/secrets/entrepot/ca/%s" $nodes.ca.key) }}{{ end -}}
  {{- if $nodes.upstreams }}{{ $apply = concat $apply (list "--upstream") $nodes.upstreams }}{{ end -}}
  {{- if $nodes.probe }}{{ $apply = concat $apply (list "--probe") $nodes.probe }}{{ end -}}
  {{- if $nodes.requireProof }}{{ $apply = append $apply "--require-proof" }}{{ end -}}
  {{- $apply = concat $apply $nodes.extraApplyArgs }}
  initContainers:
    - {{ include "entrepot.nodeContainer" (dict "root" .root "name" "apply" "args" $apply "mayRestart" true "withCa" true) | indent 6 | trim }}
  {{- $watch := concat (list "node" "watch") $where (list "--repair" (printf "--grace=%s" $nodes.grace) (printf "--interval=%s" $nodes.interval)) $nodes.extraWatchArgs }}
  containers:
    - {{ include "entrepot.nodeContainer" (dict "root" .root "name" "watch" "args" $watch "mayRestart" $isReloaded) | indent 6 | trim }}
  {{- else }}
  {{- $rollback := concat (list "node" "rollback") $where (list "--live" "--yes") }}
  initContainers:
    - {{ include "entrepot.nodeContainer" (dict "root" .root "name" "rollback" "args" $rollback "mayRestart" true) | indent 6 | trim }}
  containers:
    # A pod of the wiring that was still ending may have wired the node again.
    - {{ include "entrepot.nodeContainer" (dict "root" .root "name" "stay" "args" (append $rollback "--stay") "mayRestart" true) | indent 6 | trim }}
  {{- end }}
  {{- with $nodes.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $nodes.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $nodes.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumes:
    {{- range include "entrepot.nodeMounts" . | fromYamlArray }}
    - { name: {{ include "entrepot.nodeVolumeName" .path }}, hostPath: { path: {{ .path }}, type: {{ .type }} } }
    {{- end }}
    - { name: tmp, emptyDir: {} }
    {{- if and .isWired (include "entrepot.nodeCaSecret" .root) }}
    - { name: ca, secret: { secretName: {{ include "entrepot.nodeCaSecret" .root }}, items: [{ key: {{ $nodes.ca.key }}, path: {{ $nodes.ca.key }} }] } }
    {{- end }}
{{- end }}

{{- /* What to do next about the nodes, as a step of the notes after an installation. */ -}}
{{- define "entrepot.nodeNotes" -}}
{{- $namespace := include "entrepot.namespace" . -}}
{{- $name := printf "%s-node" (include "entrepot.fullname" .) -}}
{{- if and .Values.nodes.enabled .Values.nodes.unwire -}}
Wait until every node is rolled back, then set nodes.enabled=false:

     kubectl -n {{ $namespace }} rollout status daemonset/{{ $name }}
{{- else if .Values.nodes.enabled -}}
Wait until every node is wired to {{ include "entrepot.nodeCacheUrl" . }}, and proved by pulls:

     kubectl -n {{ $namespace }} rollout status daemonset/{{ $name }}
{{- if not .Values.nodes.allowRestart }}

   A node whose runtime would have to be restarted is left as it is, and pulls from the registries. Its pod stays in Init, and
   says so in its log; nodes.allowRestart=true allows the restart, which leaves containers running:

     kubectl -n {{ $namespace }} logs daemonset/{{ $name }} -c apply
{{- end }}
{{- else -}}
No node uses the cache yet: set nodes.enabled=true, or see docs/how-to/wire-a-fleet.md.
{{- end }}
{{- end }}
