import type { ClaimedVolume } from "../foreign/cluster-needs.ts";
import { defaultUrl } from "../settings.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { allowPrivateAddress } from "./mirror-config.ts";
import { suffixProblem, upstreamProblem, urlProblem } from "./field-validation.ts";
import {
  convertQuantity,
  formatDuration,
  parseGoDuration,
} from "../parsing/kubernetes-quantities.ts";
import type { ManifestReader } from "./manifest-reader.ts";
import { type RegistryCache, registryConfig } from "./manifest-schemas.ts";

export const REGISTRY_GROUP = "registry.extensions.gardener.cloud";
export const REGISTRY_VERSIONS = ["v1alpha1", "v1alpha2", "v1alpha3"] as const;
type Version = (typeof REGISTRY_VERSIONS)[number];

const DEFAULT_SIZE = "10Gi";
const DEFAULT_TTL = "168h";
const CREDENTIALS = ["username", "password"] as const;
const GARDENER_DEFAULT = "Gardener's default";

/** For each API version, the keys of other versions and their equivalents in this one. */
const OTHER_VERSION_KEYS: Readonly<Record<Version, Readonly<Record<string, string>>>> = {
  v1alpha1: { volume: "size", "garbageCollection.ttl": "garbageCollection.enabled" },
  v1alpha2: { size: "volume.size", "garbageCollection.ttl": "garbageCollection.enabled" },
  v1alpha3: { size: "volume.size", "garbageCollection.enabled": "garbageCollection.ttl" },
};

/** Imports the RegistryConfig at a path of the manifest. */
export function readRegistryConfig(
  reader: ManifestReader,
  value: unknown,
  base: Path,
  version: Version,
): void {
  const config = reader.parse(registryConfig, value, base);
  if (!config) return;
  const suffixes = new Map<string, string>();
  for (const [index, cache] of config.caches.entries()) {
    const at = [...base, "caches", index];
    const problem = upstreamProblem(cache.upstream);
    if (problem !== undefined) {
      reader.reject([...at, "upstream"], problem);
      continue;
    }
    if (!checkVersionKeys(version, reader, cache, at)) continue;
    if (!reader.imported.addUpstream(cache.upstream, reader.origin([...at, "upstream"]))) continue;
    readCache(reader, cache, at, version);
    checkSuffix(reader, cache, at, suffixes);
  }
  if (config.caches.some(({ http }) => http === undefined || http === null || http.tls === true)) {
    const withTls = config.caches.findIndex(({ http }) => !http || http.tls === true);
    const from = reader.origin([...base, "caches", withTls, "http", "tls"]);
    reader.imported.needs.tls = from;
    reader.imported.skip(
      from,
      "nodes reach this cache over http:// until it has a certificate, which a manifest cannot contain: convert the manifest with entrepot import, and add tls.certificate and tls.key",
    );
  }
}

/** Reports keys that this API version does not have. Returns whether there are none. */
function checkVersionKeys(
  version: Version,
  reader: ManifestReader,
  cache: RegistryCache,
  at: Path,
): boolean {
  const { size, volume, garbageCollection } = cache;
  const present: Readonly<Record<string, unknown>> = {
    size,
    volume,
    "garbageCollection.ttl": garbageCollection?.ttl,
    "garbageCollection.enabled": garbageCollection?.enabled,
  };
  const wrongKeys = Object.entries(OTHER_VERSION_KEYS[version]).filter(
    ([key]) => (present[key] ?? undefined) !== undefined,
  );
  for (const [key, equivalent] of wrongKeys) {
    reader.reject([...at, ...key.split(".")], `${version} has no ${key}: use ${equivalent}`);
  }
  return wrongKeys.length === 0;
}

function readCache(reader: ManifestReader, cache: RegistryCache, at: Path, version: Version): void {
  const { imported } = reader;
  const target = (key: string): Path => ["upstreams", cache.upstream, ...key.split(".")];
  const from = (key: string) => reader.origin([...at, ...key.split(".")]);

  if (cache.remoteURL) {
    const problem = urlProblem(cache.remoteURL, false);
    const url = cache.remoteURL.replace(/\/+$/, "");
    if (problem !== undefined) reader.reject([...at, "remoteURL"], problem);
    else if (url !== defaultUrl(cache.upstream))
      imported.set(target("url"), [url], from("remoteURL"));
    if (problem === undefined)
      allowPrivateAddress(reader, cache.upstream, url, [...at, "remoteURL"]);
  } else
    allowPrivateAddress(reader, cache.upstream, defaultUrl(cache.upstream), [...at, "upstream"]);

  const sizeKey = version === "v1alpha1" ? "size" : "volume.size";
  const quantity = version === "v1alpha1" ? cache.size : cache.volume?.size;
  const size = convertQuantity(String(quantity ?? DEFAULT_SIZE));
  if (size === undefined || Number.parseFloat(size) <= 0) {
    reader.reject(
      [...at, ...sizeKey.split(".")],
      `${JSON.stringify(quantity)} is not a size greater than 0: write one such as 10Gi`,
    );
  } else {
    const note = (quantity ?? undefined) === undefined ? GARDENER_DEFAULT : undefined;
    imported.set(target("maxSize"), [Number(size) || size], from(sizeKey), note);
    imported.needs.volumes.push({
      upstream: cache.upstream,
      size: String(quantity ?? DEFAULT_SIZE),
      from: from(sizeKey),
      ...storageClassOf(reader, cache, at),
    });
  }

  readMaxAge(reader, cache, at, version);
  if (cache.secretReferenceName) readCredentials(reader, cache, cache.secretReferenceName, at);
  readProxy(reader, cache, at);
  if (cache.highAvailability?.enabled) {
    const origin = from("highAvailability.enabled");
    imported.needs.highAvailability.push(origin);
    imported.skip(origin, "the cache is a single process");
  }
}

function storageClassOf(
  reader: ManifestReader,
  { volume }: RegistryCache,
  at: Path,
): Pick<ClaimedVolume, "storageClass"> {
  const name = volume?.storageClassName;
  if (!name) return {};
  const from = reader.origin([...at, "volume", "storageClassName"]);
  reader.imported.skip(from, "blobs are stored in a directory: see storage.dir");
  return { storageClass: { name, from } };
}

/**
 * Applies Gardener's default to an absent struct. An empty struct has Go's zero value, which
 * disables garbage collection.
 */
function readMaxAge(
  reader: ManifestReader,
  cache: RegistryCache,
  at: Path,
  version: Version,
): void {
  const collection = cache.garbageCollection ?? undefined;
  const target = ["upstreams", cache.upstream, "maxAge"];
  const key = version === "v1alpha3" ? "ttl" : "enabled";
  const from = reader.origin([...at, "garbageCollection", key]);
  if (collection === undefined) {
    reader.imported.set(target, [DEFAULT_TTL], from, GARDENER_DEFAULT);
    return;
  }
  if (version !== "v1alpha3") {
    const age = collection.enabled === true ? DEFAULT_TTL : 0;
    reader.imported.set(target, [age], from, `enabled: ${collection.enabled === true}`);
    return;
  }
  const ttl = parseGoDuration(String(collection.ttl ?? "0s"));
  if (ttl === undefined || ttl < 0) {
    const shown = JSON.stringify(collection.ttl);
    reader.reject(
      [...at, "garbageCollection", "ttl"],
      `${shown} is not a duration of 0 or more: write one such as 168h`,
    );
    return;
  }
  const isEmpty = (collection.ttl ?? undefined) === undefined;
  reader.imported.set(
    target,
    [formatDuration(ttl)],
    from,
    isEmpty ? "an empty garbageCollection means 0, which disables it" : undefined,
  );
}

function readCredentials(
  reader: ManifestReader,
  cache: RegistryCache,
  name: string,
  at: Path,
): void {
  const here = [...at, "secretReferenceName"];
  const { imported } = reader;
  const target = ["upstreams", cache.upstream, "auth"];
  const secret = reader.secret(here, name, CREDENTIALS);
  const secretDir = reader.mount(name, CREDENTIALS, target);
  if (secretDir !== undefined) imported.set(target, [{ secretDir }], reader.origin(here));
  if (!secret) return;
  const keys = [...secret.values.keys()].sort().join(", ");
  const username = secret.values.get("username");
  const password = secret.values.get("password");
  if (secret.isImmutable === false) {
    reader.reject(here, `the Secret of ${name} must have immutable: true`);
  } else if (!username || !password || secret.values.size !== 2) {
    reader.reject(
      here,
      `the Secret of ${name} has ${keys || "no keys"}: it must have exactly the keys username and password`,
    );
  } else if (username.text === "" || password.text === "") {
    reader.reject(here, `the Secret of ${name} has an empty username or password`);
  } else if (username.text === "_json_key" && !isServiceAccount(password.text)) {
    reader.reject(
      here,
      `the Secret of ${name} has the username _json_key, but its password is not the JSON of a service account`,
    );
  } else if (secretDir === undefined) {
    const { text, file } = password;
    const passwordEntry = file === undefined ? { password: text } : { passwordFile: file };
    const note = file === undefined ? "better stored in a file: see passwordFile" : undefined;
    imported.set(
      target,
      [{ username: username.text, ...passwordEntry }],
      reader.origin(here),
      note,
    );
  }
}

function isServiceAccount(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Imports the proxy for the scheme of the upstream: an upstream has only one. */
function readProxy(
  reader: ManifestReader,
  { proxy, remoteURL, upstream }: RegistryCache,
  at: Path,
): void {
  if (!proxy) return;
  const isPlain = remoteURL?.startsWith("http://") ?? false;
  const [used, other] = isPlain
    ? (["httpProxy", "httpsProxy"] as const)
    : (["httpsProxy", "httpProxy"] as const);
  const address = proxy[used];
  if (address) {
    const here = [...at, "proxy", used];
    const problem = urlProblem(address, false);
    if (problem !== undefined) reader.reject(here, problem);
    else reader.imported.set(["upstreams", upstream, "proxy"], [address], reader.origin(here));
  }
  if (proxy[other] && proxy[other] !== address) {
    const scheme = isPlain ? "http" : "https";
    reader.skip([...at, "proxy", other], `not needed: requests to the registry use ${scheme}`);
  }
}

function checkSuffix(
  reader: ManifestReader,
  { serviceNameSuffix, upstream }: RegistryCache,
  at: Path,
  suffixes: Map<string, string>,
): void {
  const here = [...at, "serviceNameSuffix"];
  const suffix = serviceNameSuffix ?? upstream.replaceAll(/[.:]/g, "-");
  const earlier = suffixes.get(suffix);
  const problem = serviceNameSuffix ? suffixProblem(serviceNameSuffix) : undefined;
  if (problem !== undefined) reader.reject(here, problem);
  else if (earlier !== undefined)
    reader.reject(here, `${suffix} is already the Service name suffix of ${earlier}`);
  else if (serviceNameSuffix) {
    const from = reader.origin(here);
    reader.imported.needs.serviceNames.push({ upstream, suffix, from });
    reader.imported.skip(from, "all upstreams share one Service, if there is one");
  }
  suffixes.set(suffix, upstream);
}
