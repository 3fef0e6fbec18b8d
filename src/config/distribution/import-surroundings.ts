import path from "node:path";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { isPrivateHost } from "../foreign/private-host.ts";
import { proxyFor, proxyFromEnvironment } from "../parsing/proxy.ts";
import { DEFAULT_UPSTREAMS } from "../settings.ts";
import type { Surroundings } from "./surroundings.ts";

/**
 * Imports what the requests of a registry to its upstream depend on: proxies and CA certificates
 * become settings of the upstream. What has no equivalent is a warning, since the upstream may not be
 * reached without it.
 */
export function importSurroundings(
  { proxy, unknownProxy, certificates, hosts, nameServers }: Surroundings,
  upstream: string,
  url: URL,
  imported: ImportedConfig,
): void {
  importProxy(proxy, upstream, url, imported);
  for (const from of unknownProxy) {
    imported.warn(from, `its value is not known: set proxy of ${upstream}, or none`, "clients");
  }
  importCertificates(certificates, upstream, imported);
  for (const { value, from } of hosts) {
    const end = value.indexOf(":");
    const [host, address] = [value.slice(0, end), value.slice(end + 1)];
    imported.warn(
      from,
      address === "host-gateway"
        ? `the container reaches this machine as ${host}: add \`127.0.0.1 ${host}\` to /etc/hosts of the cache's machine`
        : `the container reaches ${host} at ${address}: add \`${address} ${host}\` to /etc/hosts of the cache's machine`,
      "clients",
    );
    const isUpstream = host.toLowerCase() === url.hostname;
    if (isUpstream && (address === "host-gateway" || isPrivateHost(bracketed(address)))) {
      const at = ["upstreams", upstream, "allowPrivate"];
      imported.set(at, [true], from, "the host is in a private network");
    }
  }
  for (const { value, from } of nameServers) {
    const message = `the container asks the name server ${value}, the cache that of its machine`;
    if (DEFAULT_UPSTREAMS.some((name) => name === upstream)) imported.skip(from, message);
    else imported.warn(from, message, "clients");
  }
}

/** An IPv6 address as in a URL. */
function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

function importProxy(
  variables: Surroundings["proxy"],
  upstream: string,
  url: URL,
  imported: ImportedConfig,
): void {
  // Programs in Go take the names in upper case first, and ignore empty values.
  const set = variables.filter(({ value }) => value !== "");
  const find = (name: string): Surroundings["proxy"][number] | undefined =>
    set.findLast((one) => one.name === name) ??
    set.findLast((one) => one.name === name.toLowerCase());
  for (const { name, from } of set) {
    if (name.toUpperCase() === "ALL_PROXY") imported.skip(from, "registries do not use ALL_PROXY");
  }
  const used = find(url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (!used) return;
  const except = find("NO_PROXY");
  const at = ["upstreams", upstream, "proxy"];
  const name = used.name.toUpperCase();
  let problem: string | undefined;
  const rule = proxyFromEnvironment(
    { [name]: used.value, ...(except ? { NO_PROXY: except.value } : {}) },
    (_, message) => (problem = message),
  );
  if (!rule) {
    imported.warn(used.from, `${problem ?? "is not a proxy"}: set proxy of ${upstream}`, "clients");
    return;
  }
  const chosen = proxyFor(rule, url);
  if (!chosen) imported.set(at, ["none"], except?.from ?? used.from);
  else {
    const note = except ? "for all requests of this registry" : undefined;
    imported.set(at, [chosen.href.replace(/\/$/, "")], used.from, note);
  }
}

function importCertificates(
  certificates: Surroundings["certificates"],
  upstream: string,
  imported: ImportedConfig,
): void {
  const known = new Set<string>();
  for (const { file, isFolder, from } of certificates) {
    const [first] = known;
    if (file === undefined || isFolder) {
      const what = file === undefined ? "they are not on this machine" : `they are in ${file}`;
      imported.warn(
        from,
        `the registry trusts further CA certificates, and ${what}: put them into one PEM file, and set ca of ${upstream} to it`,
        "clients",
      );
    } else if (first === undefined) {
      imported.set(["upstreams", upstream, "ca"], [file], from);
      known.add(file);
    } else if (!known.has(file)) {
      const names = `${path.basename(first)} and ${path.basename(file)}`;
      imported.warn(
        from,
        `an upstream has one CA file: put ${names} into one, and set ca`,
        "clients",
      );
    }
  }
}
