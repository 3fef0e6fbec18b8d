import { stringify } from "yaml";
import { z } from "zod";
import {
  bareContainer,
  CONFIG_FILES,
  type Container,
  type Mount,
  type Variable,
} from "../distribution/container/container.ts";
import { readContainer } from "../distribution/container/read-container.ts";
import type { RegistrySettings } from "../distribution/registry-settings.ts";
import type { Origin } from "../foreign/imported-config.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ManifestObject } from "./manifest-object.ts";
import { PodEnvironment } from "./pod-environment.ts";
import { variable, volume, volumeMount } from "./pod-schema.ts";
import { PodVolumes } from "./pod-volumes.ts";
import { serviceReach } from "./services.ts";
import type { Cluster } from "./workloads.ts";

const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);
/** Helm reads 0123 as a number, and 1e3 as 1000. */
const quoted = z.string("is a number or a truth value for Helm: put it in quotes");
const object = z.looseObject({}).nullish();

/** The values of the chart docker-registry (twuni/docker-registry.helm) that matter to the cache. */
const chartValues = z.object({
  image: z.object({ repository: z.string().nullish(), tag: text.nullish() }).nullish(),
  service: z
    .object({ type: z.string().nullish(), port: text.nullish(), nodePort: text.nullish() })
    .nullish(),
  ingress: z.object({ enabled: z.unknown(), hosts: z.array(z.unknown()).nullish() }).nullish(),
  persistence: z.object({ enabled: z.unknown(), existingClaim: z.string().nullish() }).nullish(),
  storage: z.string().nullish(),
  s3: object,
  tlsSecretName: z.string().nullish(),
  secrets: z.looseObject({ htpasswd: text.nullish() }).nullish(),
  proxy: z
    .object({
      enabled: z.unknown(),
      remoteurl: text.nullish(),
      username: quoted.nullish(),
      password: quoted.nullish(),
      secretRef: z.string().nullish(),
    })
    .nullish(),
  configData: object,
  extraEnvVars: z.array(variable).nullish(),
  extraVolumes: z.array(volume).nullish(),
  extraVolumeMounts: z.array(volumeMount).nullish(),
});

type ChartValues = z.infer<typeof chartValues>;

/** Whether a value holds the values of the chart, rather than those of another. */
export function isChartValues(value: unknown): boolean {
  if (typeof value !== "object" || value === null || "version" in value) return false;
  if ("configData" in value && typeof value.configData === "object") return true;
  const proxy = "proxy" in value ? value.proxy : undefined;
  return (
    typeof proxy === "object" &&
    proxy !== null &&
    "remoteurl" in proxy &&
    ("enabled" in proxy || "secretRef" in proxy || "image" in value || "service" in value)
  );
}

/**
 * Reads the registry that the chart would install.
 *
 * @param release where the values are from; its origins are of paths in the values
 */
export function readChart(
  value: unknown,
  release: ManifestObject,
  cluster: Cluster,
): RegistrySettings[] {
  const { imported, readFile } = cluster.context;
  const parsed = chartValues.safeParse(value);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      imported.reject(release.origin(path), message);
    }
    return [];
  }
  const values = parsed.data;
  const environment = new PodEnvironment(release, cluster.stored);
  const from = release.origin(values.proxy ? ["proxy"] : [], release.name);
  const container: Container = {
    ...bareContainer(from, `${values.image?.repository ?? "registry"}:${values.image?.tag ?? "2"}`),
    environment: environment.list(
      values.extraEnvVars ?? [],
      ["extraEnvVars"],
      [...chartVariables(values, release), ...proxyVariables(values, release, environment)],
    ),
    mounts: mountsOf(values, release, cluster),
    ports: portsOf(values, release, cluster),
  };
  for (const problem of environment.problems) imported.reject(problem.from, problem.message);
  const registry = readContainer(container, readFile, imported);
  return registry ? [registry] : [];
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== "";
}

/** The variables that the chart sets for all but the proxy. */
function chartVariables(values: ChartValues, release: ManifestObject): Variable[] {
  const { secrets, tlsSecretName, storage, s3 } = values;
  const of = (at: Path, entries: Readonly<Record<string, string>>): Variable[] =>
    Object.entries(entries).map(([name, value]) => ({ name, value, from: release.origin(at) }));
  return [
    ...(isSet(secrets?.htpasswd)
      ? of(["secrets", "htpasswd"], {
          REGISTRY_AUTH_HTPASSWD_REALM: "Registry Realm",
          REGISTRY_AUTH_HTPASSWD_PATH: "/auth/htpasswd",
        })
      : []),
    ...(isSet(tlsSecretName)
      ? of(["tlsSecretName"], {
          REGISTRY_HTTP_TLS_CERTIFICATE: "/etc/ssl/docker/tls.crt",
          REGISTRY_HTTP_TLS_KEY: "/etc/ssl/docker/tls.key",
        })
      : []),
    ...(storage === "s3" ? of(["s3"], { REGISTRY_STORAGE_S3_BUCKET: String(s3?.["bucket"]) }) : []),
    ...(storage === "azure" ? of(["storage"], { REGISTRY_STORAGE_AZURE_CONTAINER: "azure" }) : []),
  ];
}

function proxyVariables(
  { proxy }: ChartValues,
  release: ManifestObject,
  environment: PodEnvironment,
): Variable[] {
  if (!proxy || !isSet(proxy.enabled)) return [];
  const remote = {
    name: "REGISTRY_PROXY_REMOTEURL",
    value: proxy.remoteurl ?? "https://registry-1.docker.io",
    from: release.origin(["proxy", "remoteurl"]),
  };
  const { secretRef } = proxy;
  if (secretRef) {
    const reference = (name: string, key: string) => ({
      name,
      valueFrom: { secretKeyRef: { name: secretRef, key } },
    });
    const login = [
      reference("REGISTRY_PROXY_USERNAME", "proxyUsername"),
      reference("REGISTRY_PROXY_PASSWORD", "proxyPassword"),
    ];
    return environment.list(login, ["proxy", "secretRef"], [remote]);
  }
  return [
    remote,
    ...(["username", "password"] as const).map((key) => ({
      name: `REGISTRY_PROXY_${key.toUpperCase()}`,
      value: JSON.stringify(proxy[key] ?? ""),
      from: release.origin(["proxy", key]),
    })),
  ];
}

function mountsOf(values: ChartValues, release: ManifestObject, cluster: Cluster): Mount[] {
  const { persistence, storage, configData } = values;
  const volumes = new PodVolumes(release, cluster.stored, cluster.objects);
  const extra = volumes.mounts(values.extraVolumeMounts ?? [], values.extraVolumes ?? [], [
    "extraVolumeMounts",
  ]);
  const [target = ""] = CONFIG_FILES;
  const mounts: Mount[] = [];
  if (configData) {
    const from = release.origin(["configData"]);
    // The settings go through a text, and keep the places where they were written.
    const originOf = (key: string): Origin => release.origin(["configData", ...key.split(".")]);
    const content = stringify(configData);
    mounts.push({ source: { content, origin: from, originOf }, target, from });
  }
  if ((storage ?? "filesystem") === "filesystem" && isSet(persistence?.enabled)) {
    const claim = persistence?.existingClaim || release.name;
    const data = { name: "data", persistentVolumeClaim: { claimName: claim } };
    const mount = { name: "data", mountPath: "/var/lib/registry" };
    for (const { source, target: path } of volumes.mounts([mount], [data], ["persistence"])) {
      mounts.push({ source, target: path, from: release.origin(["persistence"]) });
    }
  }
  return [...mounts, ...extra];
}

function portsOf(
  { service, ingress, configData }: ChartValues,
  release: ManifestObject,
  { context: { imported } }: Cluster,
): Container["ports"] {
  const { type, port, nodePort } = service ?? {};
  const http = configData?.["http"];
  const address = typeof http === "object" && http !== null ? Reflect.get(http, "addr") : undefined;
  const targetPort = typeof address === "string" ? address.split(":").at(-1) : "5000";
  const spec = {
    type: type || "ClusterIP",
    selector: {},
    ports: [{ port: port ?? "5000", targetPort, nodePort }],
  };
  const reach = serviceReach(spec, {}, release, ["service"], imported);
  if (isSet(ingress?.enabled)) {
    const hosts = (ingress?.hosts ?? []).filter((host) => typeof host === "string").join(", ");
    const reason = `nodes reach it through an Ingress, as ${hosts || "any host"}: point it, or the nodes, at the address of the cache`;
    imported.warn(release.origin(["ingress"]), reason, "clients");
  } else if (reach.moved) imported.warn(reach.moved.from, reach.moved.reason, "clients");
  return reach.ports;
}
