import { z } from "zod";
import type { Setting } from "../distribution/registry-settings.ts";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { isSameNamespace, type ManifestObject } from "./manifest-object.ts";
import { type ContainerSpec, service, type ServiceSpec } from "./pod-schema.ts";

const ingress = z.object({
  spec: z.object({
    rules: z
      .array(
        z.object({
          host: z.string().nullish(),
          http: z
            .object({
              paths: z.array(
                z.object({
                  backend: z.object({
                    serviceName: z.string().nullish(),
                    service: z.object({ name: z.string() }).nullish(),
                  }),
                }),
              ),
            })
            .nullish(),
        }),
      )
      .nullish(),
  }),
});

/** How a Service leads nodes to a pod. */
export interface ServiceReach {
  /** Ports of machines that lead to one of the container, as in `docker run --publish`. */
  readonly ports: readonly Setting[];
  /** Why nodes need another address from now on; undefined if they keep theirs. */
  readonly moved: { readonly from: Origin; readonly reason: string } | undefined;
}

/** Finds out how the Services that select a pod lead to its container. */
export function servicesOf(
  pod: {
    readonly object: ManifestObject;
    readonly labels: Readonly<Record<string, string>>;
    readonly container: ContainerSpec;
  },
  objects: readonly ManifestObject[],
  imported: ImportedConfig,
): ServiceReach[] {
  return objects.flatMap((object) => {
    if (object.kind !== "Service" || !isSameNamespace(object, pod.object)) return [];
    const parsed = service.safeParse(object.value);
    if (!parsed.success || !selects(parsed.data.spec.selector, pod.labels)) return [];
    const reach = serviceReach(parsed.data.spec, pod.container, object, ["spec"], imported);
    const entrance = ingressOf(object, objects);
    return [entrance && reach.moved ? { ...reach, moved: entrance } : reach];
  });
}

function selects(
  selector: ServiceSpec["selector"],
  labels: Readonly<Record<string, string>>,
): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}

/** @param at the path of the spec in the object */
export function serviceReach(
  { type, ports, externalIPs }: ServiceSpec,
  container: Pick<ContainerSpec, "ports">,
  object: ManifestObject,
  at: Path,
  imported: ImportedConfig,
): ServiceReach {
  const hasOwnAddress = type === "LoadBalancer" || (externalIPs ?? []).length > 0;
  const published: Setting[] = [];
  for (const [index, { port, targetPort, nodePort, protocol }] of (ports ?? []).entries()) {
    if ((protocol ?? "TCP") !== "TCP") continue;
    const from = object.origin([...at, "ports", index]);
    const named = (container.ports ?? []).find(({ name }) => name === targetPort);
    const target = named?.containerPort ?? targetPort ?? port;
    if (hasOwnAddress) published.push({ value: `${port}:${target}`, from });
    else if (type === "NodePort" && nodePort)
      published.push({ value: `${nodePort}:${target}`, from });
    else if (type === "NodePort") {
      const reason = `the cluster chooses its nodePort: read it with kubectl get service ${object.name}, and set it as port of the upstream`;
      imported.warn(from, reason, "clients");
    }
  }
  const name = object.namespace === undefined ? object.name : `${object.name}.${object.namespace}`;
  const port = ports?.[0]?.port ?? "5000";
  const external = externalIPs?.join(", ") || "the address of this load balancer";
  const reason = hasOwnAddress
    ? `nodes reach it at ${external}, port ${port}: give that address to the machine of the cache, or point the nodes at it`
    : `only the cluster reaches it, at ${name}:${port}: point the nodes at the address of the cache`;
  return {
    ports: published,
    moved:
      type === "NodePort" && !hasOwnAddress
        ? undefined
        : { from: object.origin([...at, "type"]), reason },
  };
}

/** The Ingress through which a Service is reached. */
function ingressOf(
  target: ManifestObject,
  objects: readonly ManifestObject[],
): ServiceReach["moved"] {
  for (const object of objects) {
    if (object.kind !== "Ingress" || !isSameNamespace(object, target)) continue;
    for (const [index, { host, http }] of (
      ingress.safeParse(object.value).data?.spec.rules ?? []
    ).entries()) {
      const isOwn = (http?.paths ?? []).some(
        ({ backend }) => (backend.service?.name ?? backend.serviceName) === target.name,
      );
      if (!isOwn) continue;
      const reason = `nodes reach it through this Ingress, as ${host ?? "any host"}: point it, or the nodes, at the address of the cache`;
      return { from: object.origin(["spec", "rules", index]), reason };
    }
  }
  return undefined;
}
