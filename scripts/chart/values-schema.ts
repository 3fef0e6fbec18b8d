import { KUBERNETES } from "./kubernetes-types.ts";
import type { ChartValue } from "./values-file.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The schema of values.yaml. A mapping whose values are described is strict, so that helm refuses unknown ones and says
 * where they are; of the rest, the type of the default is the type.
 *
 * Draft 7, for helm 3 knows no newer one.
 *
 * @param configuration the schema of entrepot.yaml
 */
export function valuesSchema(values: readonly ChartValue[], configuration: JsonSchema): JsonSchema {
  const { $schema: _, ...config } = configuration;
  const special: Readonly<Record<string, JsonSchema>> = {
    ...SPECIAL,
    config,
    "cluster.store.settings": storeSettings(config),
  };
  const used = new Set<string>();
  const of = (value: ChartValue): JsonSchema => {
    const name = value.path.join(".");
    const known = special[name];
    if (known) used.add(name);
    const described = value.description === "" ? {} : { description: value.description };
    if (known) return { ...described, ...known };
    if (value.children.length > 0) return { ...described, ...strict(value.children, of) };
    return { ...described, ...typeOf(value) };
  };
  const schema = strict(values, of, {
    // What a chart that depends on this one may give it.
    enabled: { description: "The condition of a dependency.", type: "boolean" },
  });
  const unused = Object.keys(special).filter((name) => !used.has(name));
  if (unused.length > 0) throw new Error(`values.yaml has no ${unused.join(", ")}`);
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of Entrepot's chart",
    ...schema,
  };
}

function strict(
  values: readonly ChartValue[],
  of: (value: ChartValue) => JsonSchema,
  more: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema {
  const properties = values.map((value) => [value.path.at(-1), of(value)]);
  // null takes a default away, and what is looked up in it would fail without a word of where.
  const required = values.filter((value) => typeof value.default === "object");
  return {
    type: "object",
    additionalProperties: false,
    ...(required.length > 0 ? { required: required.map((value) => value.path.at(-1)) } : {}),
    properties: { ...Object.fromEntries(properties), ...more },
  };
}

function typeOf({ path, default: value }: ChartValue): JsonSchema {
  if (Array.isArray(value)) return { type: "array" };
  switch (typeof value) {
    case "string":
    case "boolean":
    case "object":
      return { type: typeof value };
    case "number":
      return { type: "integer", minimum: 0 };
    default:
      throw new Error(`values.yaml: ${path.join(".")} has no default`);
  }
}

/** What `cluster.store` of entrepot.yaml takes, without what the chart gives it. */
function storeSettings(config: JsonSchema): JsonSchema {
  const within = (schema: unknown, key: string): object => {
    const found = Object.entries(Object(Object(schema)["properties"])).find(
      ([name]) => name === key,
    );
    return Object(found?.[1]);
  };
  const store = within(within(config, "cluster"), "store");
  const own = new Set(["url", "accessKeyFile", "secretKeyFile"]);
  const properties = Object.entries(Object(Object(store)["properties"]));
  if (properties.length === 0) throw new Error("entrepot.yaml has no cluster.store");
  const rest = properties.filter(([name]) => !own.has(name));
  return { type: "object", additionalProperties: false, properties: Object.fromEntries(rest) };
}

const words = (...values: readonly string[]): JsonSchema => ({ enum: values });
const port = { type: "integer", minimum: 1, maximum: 65_535 };
const duration = { type: "string", pattern: "^([0-9]+(ms|s|m|h|d))+$" };
const url = { type: "string", pattern: "^(https?://[^/?#\\s]+/?)?$" };
const quantity = {
  type: ["string", "integer"],
  pattern:
    "^([0-9]*[1-9][0-9]*(\\.[0-9]+)?|0?\\.[0-9]*[1-9][0-9]*)([eE][0-9]+|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
  exclusiveMinimum: 0,
};
const name = { type: "string", pattern: "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$" };
/** Of resources that others are named after: Services take labels of DNS alone (RFC 1035). */
const label = { type: "string", pattern: "^([a-z]([-a-z0-9]*[a-z0-9])?)?$" };
const address = {
  type: "string",
  pattern: "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)?$",
};
const labels = {
  type: "object",
  additionalProperties: {
    type: "string",
    pattern: "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
  },
};
const strings = { type: "array", items: { type: "string" } };
const stringMap = { type: "object", additionalProperties: { type: "string" } };
const count = { type: ["integer", "string"], pattern: "^([0-9]+%?)?$", minimum: 0 };

/** Values of which the default says too little. */
const SPECIAL: Readonly<Record<string, JsonSchema>> = {
  global: { type: "object" },
  nameOverride: label,
  fullnameOverride: label,
  namespaceOverride: { ...label, pattern: "^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$" },
  "image.repository": { type: "string", pattern: "^[a-z0-9]+([._/-]+[a-z0-9]+)*$" },
  "image.tag": { type: "string", pattern: "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$" },
  "image.digest": { type: "string", pattern: "^(sha256:[a-f0-9]{64})?$" },
  "image.pullPolicy": words("Always", "IfNotPresent", "Never"),
  imagePullSecrets: KUBERNETES.localReferences,
  commonLabels: labels,
  commonAnnotations: stringMap,
  replicaCount: { type: "integer", minimum: 0, maximum: 100 },
  logLevel: words("trace", "debug", "info", "warn", "error", "fatal", "silent"),
  secretMounts: {
    type: "object",
    propertyNames: { pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", maxLength: 50 },
    additionalProperties: { ...name, minLength: 1 },
  },
  "admin.existingSecret": name,
  "admin.tls.existingSecret": name,
  "tls.existingSecret": name,
  "certificate.issuerRef": KUBERNETES.issuer,
  "certificate.dnsNames": strings,
  "certificate.ipAddresses": strings,
  "certificate.duration": duration,
  "certificate.renewBefore": duration,
  "certificate.privateKey": { type: "object" },
  "cluster.existingSecret": name,
  "cluster.database.existingSecret": name,
  "cluster.store.url": { type: "string", pattern: "^(https?://\\S+)?$" },
  "cluster.store.existingSecret": name,
  "nodes.runtime": words("auto", "containerd", "k3s", "rke2", "docker", "cri-o"),
  "nodes.cacheUrl": url,
  "nodes.ca.existingSecret": name,
  "nodes.upstreams": strings,
  "nodes.probe": strings,
  "nodes.wait": duration,
  "nodes.grace": duration,
  "nodes.interval": duration,
  "nodes.cleanup.within": duration,
  "nodes.extraApplyArgs": strings,
  "nodes.extraWatchArgs": strings,
  "nodes.resources": KUBERNETES.resources,
  "nodes.securityContext": { type: "object" },
  "nodes.nodeSelector": stringMap,
  "nodes.tolerations": KUBERNETES.tolerations,
  "nodes.updateStrategy": { type: "object" },
  "nodes.podAnnotations": stringMap,
  "nodes.podLabels": labels,
  "service.type": words("NodePort", "ClusterIP", "LoadBalancer"),
  "service.port": port,
  "service.nodePort": { ...port, minimum: 0 },
  "service.nodePortRange": { type: "string", pattern: "^[0-9]+-[0-9]+$" },
  "service.clusterIP": { ...address, pattern: address.pattern.replace("^(", "^(None|") },
  "service.loadBalancerIP": address,
  "service.loadBalancerSourceRanges": strings,
  "service.externalTrafficPolicy": words("Cluster", "Local"),
  "service.internalTrafficPolicy": words("Cluster", "Local"),
  "service.trafficDistribution": words("PreferSameZone", "PreferSameNode", "PreferClose", ""),
  "service.ipFamilyPolicy": words("SingleStack", "PreferDualStack", "RequireDualStack", ""),
  "service.ipFamilies": { type: "array", maxItems: 2, items: words("IPv4", "IPv6") },
  "service.annotations": stringMap,
  "service.labels": labels,
  "service.extraPorts": KUBERNETES.servicePorts,
  "hostPort.port": port,
  "ingress.annotations": stringMap,
  "ingress.hosts": strings,
  "ingress.tls": KUBERNETES.ingressTls,
  "httpRoute.hostnames": strings,
  "httpRoute.annotations": stringMap,
  "httpRoute.timeouts": {
    type: "object",
    additionalProperties: false,
    properties: { request: duration, backendRequest: duration },
  },
  "persistence.size": quantity,
  "persistence.accessModes": {
    type: "array",
    minItems: 1,
    items: words("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"),
  },
  "persistence.existingClaim": name,
  "persistence.annotations": stringMap,
  "persistence.retentionPolicy": {
    type: "object",
    additionalProperties: false,
    properties: { whenDeleted: words("Retain", "Delete"), whenScaled: words("Retain", "Delete") },
  },
  "serviceAccount.annotations": stringMap,
  podAnnotations: stringMap,
  podLabels: labels,
  podSecurityContext: { type: "object" },
  securityContext: { type: "object" },
  resources: KUBERNETES.resources,
  nodeSelector: stringMap,
  tolerations: KUBERNETES.tolerations,
  updateStrategy: { type: "object" },
  "podDisruptionBudget.maxUnavailable": count,
  "podDisruptionBudget.minAvailable": count,
  startupProbe: KUBERNETES.probe,
  readinessProbe: KUBERNETES.probe,
  livenessProbe: KUBERNETES.probe,
  "serviceMonitor.labels": stringMap,
  "serviceMonitor.interval": duration,
  "serviceMonitor.scrapeTimeout": duration,
  "prometheusRule.labels": stringMap,
  "prometheusRule.disabled": strings,
  "prometheusRule.additionalRuleLabels": stringMap,
  "grafanaDashboard.mode": words("Sidecar", "GrafanaOperator"),
  "grafanaDashboard.labels": stringMap,
  "grafanaDashboard.annotations": stringMap,
  "grafanaDashboard.grafanaOperator.resyncPeriod": duration,
  "grafanaDashboard.grafanaOperator.matchLabels": stringMap,
  "verticalPodAutoscaler.updateMode": words(
    "Off",
    "Initial",
    "Recreate",
    "Auto",
    "InPlaceOrRecreate",
  ),
  "verticalPodAutoscaler.controlledValues": words("RequestsAndLimits", "RequestsOnly"),
  extraArgs: strings,
  extraEnv: KUBERNETES.env,
};
