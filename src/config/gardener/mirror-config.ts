import ipaddr from "ipaddr.js";
import { isInside } from "../foreign/private-host.ts";
import { defaultUrl } from "../settings.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { addressProblem, upstreamProblem } from "./field-validation.ts";
import type { Reading } from "./manifest-reader.ts";
import {
  mirrorConfig,
  operatingSystemConfig,
  type NodeRegistry,
  type RegistryMirror,
} from "./manifest-schemas.ts";

export const MIRROR_GROUP = "mirror.extensions.gardener.cloud";
export const MIRROR_VERSION = "v1alpha1";

const CAPABILITIES = new Set(["pull", "resolve"]);

/** A host that is asked before the registry itself. */
interface Host {
  readonly at: Path;
  readonly url: string;
  readonly overridePath: boolean;
  readonly resolve: boolean;
  /** A file of certificates, or the certificates themselves. */
  readonly ca?: string;
}

/** Reads a MirrorConfig that stands at a path of the manifest. */
export function readMirrorConfig(reading: Reading, value: unknown, base: Path): void {
  const config = reading.parse(mirrorConfig, value, base);
  for (const [index, mirror] of config?.mirrors.entries() ?? []) {
    const at = [...base, "mirrors", index];
    const problem = upstreamProblem(mirror.upstream);
    if (problem !== undefined) reading.refuse([...at, "upstream"], problem);
    else if (reading.draft.upstream(mirror.upstream, reading.origin([...at, "upstream"]))) {
      setMirrors(reading, mirror.upstream, readHosts(reading, mirror, at));
    }
  }
}

function readHosts(reading: Reading, mirror: RegistryMirror, at: Path): Host[] {
  const seen = new Set<string>();
  return mirror.hosts.flatMap((host, index) => {
    const here = [...at, "hosts", index];
    const problem = addressProblem(host.host, true);
    if (problem !== undefined) reading.refuse([...here, "host"], problem);
    else if (seen.has(host.host)) reading.refuse([...here, "host"], "is named twice");
    seen.add(host.host);
    checkCapabilities(reading, host.capabilities, here);
    const name = host.caBundleSecretReferenceName;
    const ca = name
      ? readBundle(reading, name, [...here, "caBundleSecretReferenceName"])
      : undefined;
    if (problem !== undefined) return [];
    return [
      {
        at: [...here, "host"],
        url: host.host,
        overridePath: host.overridePath === true,
        // Gardener's default is pull alone.
        resolve: host.capabilities?.includes("resolve") ?? false,
        ...(ca === undefined ? {} : { ca }),
      },
    ];
  });
}

function checkCapabilities(
  reading: Reading,
  capabilities: readonly string[] | null | undefined,
  at: Path,
): void {
  const unknown = capabilities?.find((one) => !CAPABILITIES.has(one));
  if (unknown === undefined) return;
  reading.refuse(
    [...at, "capabilities"],
    `${JSON.stringify(unknown)} is none: pull and resolve are`,
  );
}

/** The bundle's file, or where it has none of its own the bundle itself. */
function readBundle(reading: Reading, name: string, at: Path): string | undefined {
  const secret = reading.secret(at, name, ["bundle.crt"]);
  if (!secret) return undefined;
  const bundle = secret.values.get("bundle.crt");
  if (!bundle || secret.values.size !== 1) {
    reading.refuse(at, `the Secret of ${name} has to have bundle.crt, and nothing else`);
  } else if (!bundle.text.includes("-----BEGIN CERTIFICATE-----")) {
    reading.refuse(at, `bundle.crt of ${name} holds no certificate in PEM form`);
  } else return bundle.file ?? bundle.text;
  return undefined;
}

/** In order. What a mirror has as the rule is not written out. */
function setMirrors(reading: Reading, upstream: string, hosts: readonly Host[]): void {
  const [first] = hosts;
  if (!first) return;
  const at = ["upstreams", upstream, "mirrors"];
  const written = hosts.map(writeMirror);
  reading.draft.set(at, [written], reading.origin(first.at.slice(0, -2)));
  for (const [index, host] of hosts.entries()) {
    reading.draft.note([...at, index], reading.origin(host.at));
  }
}

function writeMirror({ url: written, overridePath, resolve, ca }: Host): unknown {
  const [, base = "", version] = /^(.*?)(\/v2)?\/*$/.exec(written) ?? [];
  const rest = {
    ...(isInside(new URL(written).hostname) ? { allowPrivate: true } : {}),
    // Without it /v2 is put behind a path; with it and with /v2 there the address is the same.
    ...(overridePath && version === undefined ? { overridePath } : {}),
    ...(resolve ? {} : { resolve }),
    ...(ca === undefined ? {} : { ca }),
  };
  return Object.keys(rest).length === 0 ? base : { url: base, ...rest };
}

/** The registries that Gardener's node agent writes to a node. `_default` is valid there. */
export function readOperatingSystemConfig(reading: Reading, value: unknown): void {
  const config = reading.parse(operatingSystemConfig, value, []);
  if (!config) return;
  const { criConfig } = config.spec;
  checkRuntime(reading, criConfig.name, ["spec", "criConfig", "name"]);
  for (const [index, registry] of criConfig.containerd.registries.entries()) {
    const at = ["spec", "criConfig", "containerd", "registries", index];
    if (registry.upstream === "_default") {
      reading.leave([...at, "upstream"], "there is no default registry here: each is named");
      continue;
    }
    const problem = upstreamProblem(registry.upstream);
    if (problem !== undefined) reading.refuse([...at, "upstream"], problem);
    else if (reading.draft.upstream(registry.upstream, reading.origin([...at, "upstream"]))) {
      const { server, upstream } = registry;
      const serverProblem = server ? addressProblem(server, true) : undefined;
      if (serverProblem !== undefined) reading.refuse([...at, "server"], serverProblem);
      else if (server && server !== defaultUrl(upstream)) {
        const from = reading.origin([...at, "server"]);
        reading.draft.set(["upstreams", upstream, "url"], [server.replace(/\/+$/, "")], from);
      }
      if (serverProblem === undefined) {
        allowOwnNetwork(reading, upstream, server ?? defaultUrl(upstream), [
          ...at,
          server ? "server" : "upstream",
        ]);
      }
      setMirrors(reading, upstream, outside(reading, registry.hosts ?? [], at));
    }
    if (registry.readinessProbe) {
      reading.leave(
        [...at, "readinessProbe"],
        "a mirror that does not answer is passed over by itself",
      );
    }
  }
}

/** An address inside of a cluster is that of the very caches that this one replaces. */
function outside(reading: Reading, hosts: NonNullable<NodeRegistry["hosts"]>, at: Path): Host[] {
  return hosts.flatMap(({ url, caCerts, overridePath, capabilities }, index) => {
    const here = [...at, "hosts", index, "url"];
    const problem = addressProblem(url, true);
    if (problem !== undefined) {
      reading.refuse(here, problem);
      return [];
    }
    const host = new URL(url).hostname.replaceAll(/[[\]]/g, "");
    if (ipaddr.isValid(host) && ipaddr.process(host).range() !== "unicast") {
      reading.leave(here, `${url} is inside of the cluster: a cache that this one replaces`);
      return [];
    }
    if (caCerts?.length) {
      reading.leave(
        [...at, "hosts", index, "caCerts"],
        "these files are on the node: copy them into one, and name it as this mirror's ca",
      );
    }
    // On a node, none means both.
    const resolve = !capabilities?.length || capabilities.includes("resolve");
    return [{ at: here, url, overridePath: overridePath === true, resolve }];
  });
}

/** Whoever wrote an address of their own network meant it to be dialled. */
export function allowOwnNetwork(reading: Reading, upstream: string, url: string, at: Path): void {
  const { hostname } = URL.parse(url) ?? {};
  if (hostname === undefined || !isInside(hostname)) return;
  reading.draft.set(
    ["upstreams", upstream, "allowPrivate"],
    [true],
    reading.origin(at),
    "it is in your own network",
  );
}

export function checkRuntime(reading: Reading, name: string | null | undefined, at: Path): void {
  if (!name || name === "containerd") return;
  reading.refuse(
    at,
    `${JSON.stringify(name)} is not supported by Gardener's extensions: containerd alone is`,
  );
}
