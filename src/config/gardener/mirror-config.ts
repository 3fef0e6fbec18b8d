import ipaddr from "ipaddr.js";
import { isPrivateHost } from "../foreign/private-host.ts";
import { defaultUrl } from "../settings.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { upstreamProblem, urlProblem } from "./field-validation.ts";
import type { ManifestReader } from "./manifest-reader.ts";
import {
  mirrorConfig,
  operatingSystemConfig,
  type NodeRegistry,
  type RegistryMirror,
} from "./manifest-schemas.ts";

export const MIRROR_GROUP = "mirror.extensions.gardener.cloud";
export const MIRROR_VERSION = "v1alpha1";

/** The only key of a Secret with a CA bundle. */
const BUNDLE = "bundle.crt";

const CAPABILITIES = new Set(["pull", "resolve"]);

/** A mirror of an upstream. */
interface MirrorHost {
  /** The path of its URL in the manifest. */
  readonly at: Path;
  readonly url: string;
  readonly overridePath: boolean;
  readonly resolve: boolean;
  /** A PEM file, or PEM text. */
  readonly ca?: string;
}

/** Imports the MirrorConfig at a path of the manifest. */
export function readMirrorConfig(reader: ManifestReader, value: unknown, base: Path): void {
  const config = reader.parse(mirrorConfig, value, base);
  for (const [index, mirror] of config?.mirrors.entries() ?? []) {
    const at = [...base, "mirrors", index];
    const problem = upstreamProblem(mirror.upstream);
    if (problem !== undefined) reader.reject([...at, "upstream"], problem);
    else if (reader.imported.addUpstream(mirror.upstream, reader.origin([...at, "upstream"]))) {
      setMirrors(reader, mirror.upstream, readHosts(reader, mirror, at));
    }
  }
}

function readHosts(reader: ManifestReader, mirror: RegistryMirror, at: Path): MirrorHost[] {
  const urls = new Set<string>();
  return mirror.hosts.flatMap((host, index) => {
    const here = [...at, "hosts", index];
    const problem = urlProblem(host.host, true);
    if (problem !== undefined) reader.reject([...here, "host"], problem);
    else if (urls.has(host.host)) reader.reject([...here, "host"], "is a duplicate");
    urls.add(host.host);
    checkCapabilities(reader, host.capabilities, here);
    const name = host.caBundleSecretReferenceName;
    const target = ["upstreams", mirror.upstream, "mirrors", index, "ca"];
    const ca = name
      ? readBundle(reader, name, [...here, "caBundleSecretReferenceName"], target)
      : undefined;
    if (problem !== undefined) return [];
    return [
      {
        at: [...here, "host"],
        url: host.host,
        overridePath: host.overridePath === true,
        // Gardener's default is only pull.
        resolve: host.capabilities?.includes("resolve") ?? false,
        ...(ca === undefined ? {} : { ca }),
      },
    ];
  });
}

function checkCapabilities(
  reader: ManifestReader,
  capabilities: readonly string[] | null | undefined,
  at: Path,
): void {
  const unknown = capabilities?.find((capability) => !CAPABILITIES.has(capability));
  if (unknown === undefined) return;
  reader.reject(
    [...at, "capabilities"],
    `${JSON.stringify(unknown)} is not a capability: use pull and resolve`,
  );
}

/** The file of the CA bundle, or its text if it is not in a file of its own. */
function readBundle(
  reader: ManifestReader,
  name: string,
  at: Path,
  target: Path,
): string | undefined {
  const secret = reader.secret(at, name, [BUNDLE]);
  const folder = reader.mount(name, [BUNDLE], target);
  const mounted = folder === undefined ? undefined : `${folder}/${BUNDLE}`;
  if (!secret) return mounted;
  const bundle = secret.values.get(BUNDLE);
  if (!bundle || secret.values.size !== 1) {
    reader.reject(at, `the Secret of ${name} must have exactly the key bundle.crt`);
  } else if (!bundle.text.includes("-----BEGIN CERTIFICATE-----")) {
    reader.reject(at, `bundle.crt of ${name} contains no certificate in PEM format`);
  } else return mounted ?? bundle.file ?? bundle.text;
  return undefined;
}

/** Sets the mirrors of an upstream, in order. */
function setMirrors(reader: ManifestReader, upstream: string, hosts: readonly MirrorHost[]): void {
  const [first] = hosts;
  if (!first) return;
  const at = ["upstreams", upstream, "mirrors"];
  const mirrors = hosts.map(mirrorEntry);
  reader.imported.set(at, [mirrors], reader.origin(first.at.slice(0, -2)));
  for (const [index, host] of hosts.entries()) {
    reader.imported.recordOrigin([...at, index], reader.origin(host.at));
  }
}

/** The entry of a mirror in entrepot.yaml: only its URL if all other keys have their defaults. */
function mirrorEntry({ url, overridePath, resolve, ca }: MirrorHost): unknown {
  const [, base = "", version] = /^(.*?)(\/v2)?\/*$/.exec(url) ?? [];
  const rest = {
    ...(isPrivateHost(new URL(url).hostname) ? { allowPrivate: true } : {}),
    // overridePath has no effect on a URL that ends in /v2, which is added to the path anyway.
    ...(overridePath && version === undefined ? { overridePath } : {}),
    ...(resolve ? {} : { resolve }),
    ...(ca === undefined ? {} : { ca }),
  };
  return Object.keys(rest).length === 0 ? base : { url: base, ...rest };
}

/**
 * Imports an OperatingSystemConfig: the registries that Gardener's node agent configures in
 * containerd, including `_default`.
 */
export function readOperatingSystemConfig(reader: ManifestReader, value: unknown): void {
  const config = reader.parse(operatingSystemConfig, value, []);
  if (!config) return;
  const { criConfig } = config.spec;
  checkRuntime(reader, criConfig.name, ["spec", "criConfig", "name"]);
  for (const [index, registry] of criConfig.containerd.registries.entries()) {
    const at = ["spec", "criConfig", "containerd", "registries", index];
    if (registry.upstream === "_default") {
      reader.skip([...at, "upstream"], "a default registry is not supported: list each registry");
      continue;
    }
    const problem = upstreamProblem(registry.upstream);
    if (problem !== undefined) reader.reject([...at, "upstream"], problem);
    else if (reader.imported.addUpstream(registry.upstream, reader.origin([...at, "upstream"]))) {
      const { server, upstream } = registry;
      const serverProblem = server ? urlProblem(server, true) : undefined;
      if (serverProblem !== undefined) reader.reject([...at, "server"], serverProblem);
      else if (server && server !== defaultUrl(upstream)) {
        const from = reader.origin([...at, "server"]);
        reader.imported.set(["upstreams", upstream, "url"], [server.replace(/\/+$/, "")], from);
      }
      if (serverProblem === undefined) {
        allowPrivateAddress(reader, upstream, server ?? defaultUrl(upstream), [
          ...at,
          server ? "server" : "upstream",
        ]);
      }
      setMirrors(reader, upstream, externalHosts(reader, registry.hosts ?? [], at));
    }
    if (registry.readinessProbe) {
      reader.skip(
        [...at, "readinessProbe"],
        "not needed: a mirror that does not respond is skipped automatically",
      );
    }
  }
}

/** The hosts outside the cluster. Private addresses are those of the caches that Entrepot replaces. */
function externalHosts(
  reader: ManifestReader,
  hosts: NonNullable<NodeRegistry["hosts"]>,
  at: Path,
): MirrorHost[] {
  return hosts.flatMap(({ url, caCerts, overridePath, capabilities }, index) => {
    const here = [...at, "hosts", index, "url"];
    const problem = urlProblem(url, true);
    if (problem !== undefined) {
      reader.reject(here, problem);
      return [];
    }
    const host = new URL(url).hostname.replaceAll(/[[\]]/g, "");
    if (ipaddr.isValid(host) && ipaddr.process(host).range() !== "unicast") {
      reader.skip(here, `${url} is inside the cluster: a cache that Entrepot replaces`);
      return [];
    }
    if (caCerts?.length) {
      reader.skip(
        [...at, "hosts", index, "caCerts"],
        "these files are on the node: combine them in one file, and set it as ca of this mirror",
      );
    }
    // In containerd, no capabilities means all of them.
    const resolve = !capabilities?.length || capabilities.includes("resolve");
    return [{ at: here, url, overridePath: overridePath === true, resolve }];
  });
}

/** Sets `allowPrivate` for a URL in a private network: configuring the URL implies the permission. */
export function allowPrivateAddress(
  reader: ManifestReader,
  upstream: string,
  url: string,
  at: Path,
): void {
  const { hostname } = URL.parse(url) ?? {};
  if (hostname === undefined || !isPrivateHost(hostname)) return;
  reader.imported.set(
    ["upstreams", upstream, "allowPrivate"],
    [true],
    reader.origin(at),
    "the host is in a private network",
  );
}

/** Reports a container runtime that Gardener's extensions do not support. */
export function checkRuntime(
  reader: ManifestReader,
  name: string | null | undefined,
  at: Path,
): void {
  if (!name || name === "containerd") return;
  reader.reject(
    at,
    `${JSON.stringify(name)} is not supported by Gardener's extensions, which only support containerd`,
  );
}
