{{/* How nodes get to use the cache. */}}
{{- define "entrepot.nodeNotes" -}}
Wire the nodes to it: docs/how-to/wire-a-fleet.md.
{{- end }}
