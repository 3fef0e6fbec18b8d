/** Values that show one thing each: what they are rendered to is in test/golden/chart. */
export const VALUE_SETS: Readonly<Record<string, string>> = {
  names: `
nameOverride: cache
namespaceOverride: registries
commonLabels: { team: platform }
commonAnnotations: { example.com/owner: platform }
podLabels: { tier: infra }
podAnnotations: { example.com/scrape: "no" }
`,
  image: `
image: { registry: registry.example:5000, repository: mirror/entrepot, digest: "sha256:${"0".repeat(64)}", pullPolicy: Always }
imagePullSecrets: [{ name: mirror }]
`,
  config: `
logLevel: debug
secretMounts: { docker-hub: docker-hub-credentials, company-ca: company-ca }
config:
  maxRate: 50MiB
  storage: { maxSize: 60GiB }
  upstreams:
    docker.io: { auth: { secretDir: /run/secrets/docker-hub } }
    registry.internal: { allowPrivate: true, ca: /run/secrets/company-ca/ca.crt }
`,
  "restart-on-config-change": `
restartOnConfigChange: true
config: { upstreams: { quay.io: { tagTtl: 5m } } }
`,
  "upstream-ports": `
networkPolicy: { enabled: true }
config: { upstreams: { docker.io: { port: 5010 }, ghcr.io: { listen: "0.0.0.0:5020" } } }
service: { extraPorts: [{ name: docker-io, port: 5010, targetPort: port-5010, nodePort: 30021 }] }
`,
  replicas: `
replicaCount: 3
cluster:
  existingSecret: entrepot-cluster
  database: { existingSecret: postgres }
  store: { url: https://s3.example/images/cache, existingSecret: s3, settings: { region: eu-central-1, maxSize: 2TiB } }
`,
  "replicas-with-a-role": `
replicaCount: 2
serviceAccount: { annotations: { eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/entrepot" } }
podDisruptionBudget: { maxUnavailable: "", minAvailable: 1 }
cluster:
  existingSecret: entrepot-cluster
  database: { existingSecret: postgres }
  store: { url: https://images.s3.eu-central-1.amazonaws.com }
`,
  "shared-store-for-one": `
cluster: { existingSecret: entrepot-cluster, store: { url: https://s3.example/images, existingSecret: s3 } }
`,
  "no-volume": `
persistence: { enabled: false, size: 20Gi }
`,
  "existing-claim": `
persistence: { existingClaim: cache-data }
`,
  "storage-class": `
persistence: { size: 500Gi, storageClassName: fast, accessModes: [ReadWriteOncePod], retentionPolicy: { whenDeleted: Delete, whenScaled: Retain } }
`,
  "load-balancer": `
service: { type: LoadBalancer, loadBalancerIP: 10.0.0.7, loadBalancerClass: example.com/internal, loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local }
`,
  "fixed-cluster-ip": `
service: { type: ClusterIP, clusterIP: 10.96.0.50 }
`,
  "host-port": `
service: { type: ClusterIP }
hostPort: { enabled: true }
nodes: { cacheUrl: "http://10.0.0.7:30020" }
nodeSelector: { kubernetes.io/hostname: storage-1 }
`,
  ipv6: `
service: { ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4] }
`,
  tls: `
tls: { existingSecret: entrepot-tls }
nodes: { cacheUrl: "https://cache.example:30020" }
`,
  certificate: `
certificate: { enabled: true, issuerRef: { name: internal, kind: ClusterIssuer }, dnsNames: [mirror.example] }
nodes: { cacheUrl: "https://cache.example:30020" }
`,
  monitoring: `
admin: { existingSecret: entrepot-admin, tls: { existingSecret: entrepot-admin-tls } }
serviceMonitor: { enabled: true, labels: { release: prometheus }, tlsConfig: { insecureSkipVerify: true }, relabelings: [{ targetLabel: cluster, replacement: a }] }
prometheusRule: { enabled: true, labels: { release: prometheus }, disabled: [EntrepotHitRatioLow], additionalRuleLabels: { team: platform } }
grafanaDashboard: { enabled: true, annotations: { grafana_folder: Registries } }
`,
  "grafana-operator": `
grafanaDashboard: { enabled: true, mode: GrafanaOperator, grafanaOperator: { folder: Registries, matchLabels: { dashboards: grafana } } }
`,
  admin: `
admin: { expose: true, existingSecret: entrepot-admin }
networkPolicy: { enabled: true, adminFrom: [{ podSelector: { matchLabels: { app: prometheus } } }] }
`,
  "network-policy": `
networkPolicy: { enabled: true, from: [{ ipBlock: { cidr: 10.0.0.0/8 } }], egress: [{ ports: [{ port: 443, protocol: TCP }, { port: 53, protocol: UDP }] }] }
`,
  "reads-the-cluster": `
config: { kubernetes: { keep: cluster } }
`,
  "reads-two-namespaces": `
config: { kubernetes: { namespaces: [shop, blog] } }
`,
  routes: `
ingress: { enabled: true, className: nginx, hosts: [cache.example], tls: [{ hosts: [cache.example], secretName: cache-tls }] }
httpRoute: { enabled: true, parentRefs: [{ name: gateway, namespace: infra }], hostnames: [cache.example] }
`,
  autoscaler: `
verticalPodAutoscaler: { enabled: true, maxAllowed: { memory: 1Gi } }
`,
  placement: `
tolerations: [{ key: storage, operator: Exists, effect: NoSchedule }]
affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: disk, operator: In, values: [ssd] }] }] } } }
topologySpreadConstraints: [{ maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: { matchLabels: { a: b } } }]
priorityClassName: system-cluster-critical
resources: { requests: { cpu: "1", memory: 1Gi }, limits: { memory: 1Gi } }
`,
  extras: `
extraArgs: [--workers=2]
extraEnv: [{ name: HTTPS_PROXY, value: "http://proxy:3128" }]
extraEnvFrom: [{ secretRef: { name: proxies } }]
extraVolumes: [{ name: ca, configMap: { name: ca } }]
extraVolumeMounts: [{ name: ca, mountPath: /usr/local/share/ca }]
extraInitContainers: [{ name: wait, image: "busybox:1.37", command: ["true"] }]
extraContainers: [{ name: beside, image: "busybox:1.37" }]
extraObjects:
  - apiVersion: v1
    kind: ConfigMap
    metadata: { name: '{{ include "entrepot.fullname" . }}-extra' }
  - |
    apiVersion: v1
    kind: Secret
    metadata:
      name: text
      labels: {{- include "entrepot.labels" . | nindent 8 }}
`,
};
