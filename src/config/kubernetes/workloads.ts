import type { ImportContext } from "../distribution/format.ts";
import { bareContainer, type Container, isRegistry } from "../distribution/container/container.ts";
import { readContainer } from "../distribution/container/read-container.ts";
import type { RegistrySettings, Setting } from "../distribution/registry-settings.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ManifestObject } from "./manifest-object.ts";
import { expand, PodEnvironment } from "./pod-environment.ts";
import { type ContainerSpec, type PodSpec, podTemplate } from "./pod-schema.ts";
import { PodVolumes } from "./pod-volumes.ts";
import { servicesOf } from "./services.ts";
import type { StoredValues } from "./stored-values.ts";

/** Where the objects of each kind have their pod template. */
const TEMPLATES: Readonly<Record<string, Path>> = {
  Pod: [],
  Deployment: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};

/** Workloads that run a registry. */
export const WORKLOAD_KINDS: readonly string[] = Object.keys(TEMPLATES).filter(
  (kind) => !kind.endsWith("Job"),
);

/** What pods refer to: the other objects, their values, and the files that are read. */
export interface Cluster {
  readonly objects: readonly ManifestObject[];
  readonly stored: StoredValues;
  readonly context: ImportContext;
  /** How `podman kube play` publishes ports, beside those of the pods. */
  readonly published?: readonly Setting[];
  readonly isOnHostNetwork?: boolean;
}

export function isWorkload({ kind }: ManifestObject): boolean {
  return Object.hasOwn(TEMPLATES, kind);
}

/** Reads the registries among the containers of a workload. */
export function readWorkload(object: ManifestObject, cluster: Cluster): RegistrySettings[] {
  const { imported, readFile } = cluster.context;
  const at = TEMPLATES[object.kind] ?? [];
  const template = valueAt(object.value, at);
  if (!mentionsRegistry(template)) return [];
  const parsed = podTemplate.safeParse(template);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      imported.reject(
        object.origin([...at, ...path]),
        `is not valid in a ${object.kind}: ${message}`,
      );
    }
    return [];
  }
  const { spec, metadata } = parsed.data;
  return spec.containers.flatMap((container, index) => {
    const environment = new PodEnvironment(object, cluster.stored);
    const place = { object, base: [...at, "spec"], index };
    const described = containerOf(container, spec, place, environment, cluster);
    if (!isRegistry(described)) return [];
    for (const { from, message } of environment.problems) imported.reject(from, message);
    const labels = metadata?.labels ?? {};
    const reached = withServices(described, { object, labels, container }, cluster);
    return readContainer(reached, readFile, imported) ?? [];
  });
}

/** Whether a template may run a registry. The others are not checked: they do not concern the cache. */
function mentionsRegistry(template: unknown): boolean {
  return /registry|distribution/i.test(JSON.stringify(template) ?? "");
}

function valueAt(value: unknown, at: Path): unknown {
  return at.reduce<unknown>(
    (current, key) =>
      typeof current === "object" && current !== null ? Reflect.get(current, key) : undefined,
    value,
  );
}

/** Where a container stands in its object. */
interface Place {
  readonly object: ManifestObject;
  /** The path of the pod's spec. */
  readonly base: Path;
  readonly index: number;
}

function containerOf(
  spec: ContainerSpec,
  template: PodSpec,
  { object, base, index }: Place,
  variables: PodEnvironment,
  { stored, objects, published = [], isOnHostNetwork = false }: Cluster,
): Container {
  const at = [...base, "containers", index];
  const title = object.name === "" ? object.kind : `${object.kind} ${object.name}`;
  const environment = variables.read(spec, at);
  const words = (key: "command" | "args"): string[] =>
    (spec[key] ?? []).map((word) => expand(word, environment));
  const { runAsUser, runAsGroup } = { ...template.securityContext, ...spec.securityContext };
  return {
    ...bareContainer(object.origin([...at, "image"], title), spec.image ?? ""),
    entrypoint: spec.command ? words("command") : undefined,
    command: words("args"),
    environment,
    mounts: new PodVolumes(object, stored, objects).mounts(
      spec.volumeMounts ?? [],
      template.volumes ?? [],
      [...at, "volumeMounts"],
    ),
    ports: [
      ...published,
      ...(spec.ports ?? []).flatMap(({ hostPort, hostIP, containerPort, protocol }, position) => {
        if (!hostPort || (protocol ?? "TCP") !== "TCP") return [];
        const address = hostIP ? `${hostIP.includes(":") ? `[${hostIP}]` : hostIP}:` : "";
        const value = `${address}${hostPort}:${containerPort}`;
        return [{ value, from: object.origin([...at, "ports", position, "hostPort"]) }];
      }),
    ],
    network:
      isOnHostNetwork || template.hostNetwork === true
        ? { value: "host", from: object.origin([...base, "hostNetwork"]) }
        : undefined,
    extraHosts: (template.hostAliases ?? []).flatMap(({ ip, hostnames }, position) => {
      const origin = object.origin([...base, "hostAliases", position]);
      return hostnames.map((name) => ({ value: `${name}:${ip}`, from: origin }));
    }),
    nameServers: (template.dnsConfig?.nameservers ?? []).map((value, position) => ({
      value,
      from: object.origin([...base, "dnsConfig", "nameservers", position]),
    })),
    user: [runAsUser, runAsGroup].filter((id) => typeof id === "string").join(":") || undefined,
  };
}

/** Adds the ports at which Services lead to the container, if it has none of its own machine. */
function withServices(
  container: Container,
  pod: Parameters<typeof servicesOf>[0],
  { objects, context: { imported } }: Cluster,
): Container {
  const { object } = pod;
  if (container.network || container.ports.length > 0) {
    if (object.kind !== "DaemonSet") return container;
    const reason =
      "runs on every node, which reach it at their own address: point the nodes at the address of the cache";
    imported.warn(container.from, reason, "clients");
    return container;
  }
  const services = servicesOf(pod, objects, imported);
  for (const { moved } of services) {
    if (moved) imported.warn(moved.from, moved.reason, "clients");
  }
  return { ...container, ports: services.flatMap(({ ports }) => ports) };
}
