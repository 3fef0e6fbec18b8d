import { defaultUrl } from "../settings.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { allowOwnNetwork } from "./mirror-config.ts";
import { addressProblem, suffixProblem, upstreamProblem } from "./field-validation.ts";
import { goDuration, readQuantity, writeDuration } from "../parsing/kubernetes-quantities.ts";
import type { Reading } from "./manifest-reader.ts";
import { type RegistryCache, registryConfig } from "./manifest-schemas.ts";

export const REGISTRY_GROUP = "registry.extensions.gardener.cloud";
export const REGISTRY_VERSIONS = ["v1alpha1", "v1alpha2", "v1alpha3"] as const;
type Version = (typeof REGISTRY_VERSIONS)[number];

const DEFAULT_SIZE = "10Gi";
const DEFAULT_TTL = "168h";
const DEFAULTED = "Gardener's default";

/** What only one version of the API has, and what it is called in the others. */
const MISPLACED: Readonly<Record<Version, Readonly<Record<string, string>>>> = {
  v1alpha1: { volume: "size", "garbageCollection.ttl": "garbageCollection.enabled" },
  v1alpha2: { size: "volume.size", "garbageCollection.ttl": "garbageCollection.enabled" },
  v1alpha3: { size: "volume.size", "garbageCollection.enabled": "garbageCollection.ttl" },
};

/** Reads a RegistryConfig that stands at a path of the manifest. */
export function readRegistryConfig(
  reading: Reading,
  value: unknown,
  base: Path,
  version: Version,
): void {
  const config = reading.parse(registryConfig, value, base);
  if (!config) return;
  const suffixes = new Map<string, string>();
  for (const [index, cache] of config.caches.entries()) {
    const at = [...base, "caches", index];
    const problem = upstreamProblem(cache.upstream);
    if (problem !== undefined) {
      reading.refuse([...at, "upstream"], problem);
      continue;
    }
    if (!hasFormOf(version, reading, cache, at)) continue;
    if (!reading.draft.upstream(cache.upstream, reading.origin([...at, "upstream"]))) continue;
    readCache(reading, cache, at, version);
    checkSuffix(reading, cache, at, suffixes);
  }
  if (config.caches.some(({ http }) => http === undefined || http === null || http.tls === true)) {
    const served = config.caches.findIndex(({ http }) => !http || http.tls === true);
    reading.leave(
      [...base, "caches", served, "http", "tls"],
      "nodes reach this cache over http:// until it has a certificate, which no manifest holds: import this one, and add tls.certificate and tls.key",
    );
  }
}

/** Each version of the API has some keys that the others do not. */
function hasFormOf(version: Version, reading: Reading, cache: RegistryCache, at: Path): boolean {
  const { size, volume, garbageCollection } = cache;
  const present: Readonly<Record<string, unknown>> = {
    size,
    volume,
    "garbageCollection.ttl": garbageCollection?.ttl,
    "garbageCollection.enabled": garbageCollection?.enabled,
  };
  const wrong = Object.entries(MISPLACED[version]).filter(
    ([key]) => (present[key] ?? undefined) !== undefined,
  );
  for (const [key, meant] of wrong) {
    reading.refuse([...at, ...key.split(".")], `${version} has no ${key}: it is ${meant} there`);
  }
  return wrong.length === 0;
}

function readCache(reading: Reading, cache: RegistryCache, at: Path, version: Version): void {
  const { draft } = reading;
  const into = (key: string): Path => ["upstreams", cache.upstream, ...key.split(".")];
  const from = (key: string) => reading.origin([...at, ...key.split(".")]);

  if (cache.remoteURL) {
    const problem = addressProblem(cache.remoteURL, false);
    const url = cache.remoteURL.replace(/\/+$/, "");
    if (problem !== undefined) reading.refuse([...at, "remoteURL"], problem);
    else if (url !== defaultUrl(cache.upstream)) draft.set(into("url"), [url], from("remoteURL"));
    if (problem === undefined) allowOwnNetwork(reading, cache.upstream, url, [...at, "remoteURL"]);
  } else allowOwnNetwork(reading, cache.upstream, defaultUrl(cache.upstream), [...at, "upstream"]);

  const sizeKey = version === "v1alpha1" ? "size" : "volume.size";
  const written = version === "v1alpha1" ? cache.size : cache.volume?.size;
  const size = readQuantity(String(written ?? DEFAULT_SIZE));
  if (size === undefined || Number.parseFloat(size) <= 0) {
    reading.refuse(
      [...at, ...sizeKey.split(".")],
      `${JSON.stringify(written)} is no size over 0, such as 10Gi`,
    );
  } else {
    const note = (written ?? undefined) === undefined ? DEFAULTED : undefined;
    draft.set(into("maxSize"), [Number(size) || size], from(sizeKey), note);
  }
  if (cache.volume?.storageClassName) {
    reading.leave(
      [...at, "volume", "storageClassName"],
      "content is kept in a folder, storage.dir",
    );
  }

  readAge(reading, cache, at, version);
  if (cache.secretReferenceName) readCredentials(reading, cache, cache.secretReferenceName, at);
  readProxy(reading, cache, at);
  if (cache.highAvailability?.enabled) {
    reading.leave([...at, "highAvailability", "enabled"], "this is one process on one machine");
  }
}

/** An absent struct has the default; an empty one has Go's zero, which turns the collection off. */
function readAge(reading: Reading, cache: RegistryCache, at: Path, version: Version): void {
  const collection = cache.garbageCollection ?? undefined;
  const into = ["upstreams", cache.upstream, "maxAge"];
  const key = version === "v1alpha3" ? "ttl" : "enabled";
  const from = reading.origin([...at, "garbageCollection", key]);
  if (collection === undefined) {
    reading.draft.set(into, [DEFAULT_TTL], from, DEFAULTED);
    return;
  }
  if (version !== "v1alpha3") {
    const age = collection.enabled === true ? DEFAULT_TTL : 0;
    reading.draft.set(into, [age], from, `enabled: ${collection.enabled === true}`);
    return;
  }
  const ttl = goDuration(String(collection.ttl ?? "0s"));
  if (ttl === undefined || ttl < 0) {
    const shown = JSON.stringify(collection.ttl);
    reading.refuse(
      [...at, "garbageCollection", "ttl"],
      `${shown} is no duration of 0 or more, such as 168h`,
    );
    return;
  }
  const isEmpty = (collection.ttl ?? undefined) === undefined;
  reading.draft.set(
    into,
    [writeDuration(ttl)],
    from,
    isEmpty ? "an empty garbageCollection is 0, never" : undefined,
  );
}

function readCredentials(reading: Reading, cache: RegistryCache, name: string, at: Path): void {
  const here = [...at, "secretReferenceName"];
  const secret = reading.secret(here, name, ["username", "password"]);
  if (!secret) return;
  const keys = [...secret.values.keys()].sort().join(", ");
  const username = secret.values.get("username");
  const password = secret.values.get("password");
  if (secret.isImmutable === false) {
    reading.refuse(here, `the Secret of ${name} has to have immutable: true`);
  } else if (!username || !password || secret.values.size !== 2) {
    reading.refuse(
      here,
      `the Secret of ${name} has ${keys || "no keys"}: it has to have username and password, and nothing else`,
    );
  } else if (username.text === "" || password.text === "") {
    reading.refuse(here, `the Secret of ${name} has an empty username or password`);
  } else if (username.text === "_json_key" && !isServiceAccount(password.text)) {
    reading.refuse(
      here,
      `the Secret of ${name} is for _json_key, and its password is no service account's JSON`,
    );
  } else {
    const { draft } = reading;
    const into = ["upstreams", cache.upstream, "auth"];
    const { text, file } = password;
    const secretPart = file === undefined ? { password: text } : { passwordFile: file };
    const note = file === undefined ? "better kept in a file: passwordFile" : undefined;
    draft.set(into, [{ username: username.text, ...secretPart }], reading.origin(here), note);
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

/** One proxy is set per upstream: that for its own scheme. */
function readProxy(
  reading: Reading,
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
    const problem = addressProblem(address, false);
    if (problem !== undefined) reading.refuse(here, problem);
    else reading.draft.set(["upstreams", upstream, "proxy"], [address], reading.origin(here));
  }
  if (proxy[other] && proxy[other] !== address) {
    const scheme = isPlain ? "http" : "https";
    reading.leave(
      [...at, "proxy", other],
      `the registry is asked over ${scheme}, which this one is not for`,
    );
  }
}

function checkSuffix(
  reading: Reading,
  { serviceNameSuffix, upstream }: RegistryCache,
  at: Path,
  seen: Map<string, string>,
): void {
  const here = [...at, "serviceNameSuffix"];
  const suffix = serviceNameSuffix ?? upstream.replaceAll(/[.:]/g, "-");
  const earlier = seen.get(suffix);
  const problem = serviceNameSuffix ? suffixProblem(serviceNameSuffix) : undefined;
  if (problem !== undefined) reading.refuse(here, problem);
  else if (earlier !== undefined)
    reading.refuse(here, `${suffix} names the Service of ${earlier} already`);
  else if (serviceNameSuffix) {
    reading.leave(here, "there is one Service, or none, for all upstreams");
  }
  seen.set(suffix, upstream);
}
