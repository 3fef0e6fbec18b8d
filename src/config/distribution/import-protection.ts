import { type ImportedConfig, originOnCommandLine } from "../foreign/imported-config.ts";
import { type Address, formatAddress } from "../parsing/address.ts";
import { isLoopbackHost } from "../parsing/host-overlap.ts";
import type { ImportedRegistry } from "./import-addresses.ts";
import type { Setting } from "./setting.ts";

/** Values of `auth` with which registry:2 authenticates nobody. */
const NO_AUTH = new Set(["", "none", "null", "{}"]);
const NO_LIST = new Set(["", "null", "[]"]);

/**
 * Rejects registries that let only some clients in, since this cache lets in all that reach it. Their
 * images, and those that their credentials open, would become public.
 *
 * @param addresses where the upstreams are served
 * @param accepted the upstreams for which the operator accepts that
 */
export function importProtection(
  registries: readonly ImportedRegistry[],
  addresses: ReadonlyMap<string, Address>,
  accepted: ReadonlySet<string>,
  imported: ImportedConfig,
): void {
  for (const upstream of accepted) {
    if (addresses.has(upstream)) continue;
    imported.reject(
      originOnCommandLine("--drop-auth"),
      `${upstream} is none of the imported registries: ${[...addresses.keys()].join(", ")}`,
    );
  }
  for (const { upstream, registry } of registries) {
    const protection = protectionOf(registry.settings);
    if (!protection) continue;
    const { setting, asked } = protection;
    const address = addresses.get(upstream);
    const exposed = `${whoReaches(address)} can pull ${whatIsExposed(upstream, registry.settings)}`;
    if (accepted.has(upstream)) {
      imported.warn(setting.from, `clients are no longer asked for ${asked}: ${exposed}`);
      continue;
    }
    const narrower =
      address && !isLoopbackHost(address.host)
        ? `, and --port ${upstream}=127.0.0.1:${address.port} to have a reverse proxy on this machine ask for it`
        : "";
    imported.reject(
      setting.from,
      `clients had to show ${asked}, and this cache asks for nothing: ${exposed}. To accept that, add --drop-auth ${upstream}${narrower}`,
    );
  }
}

/** The setting with which a registry lets only some clients in, and what it asks them for. */
function protectionOf(
  settings: ReadonlyMap<string, Setting>,
): { readonly setting: Setting; readonly asked: string } | undefined {
  for (const [key, setting] of settings) {
    const isAuth = key === "auth" ? !NO_AUTH.has(setting.value.trim().toLowerCase()) : false;
    if (isAuth || (key.startsWith("auth.") && !key.startsWith("auth.none"))) {
      const isPassword = key.includes("htpasswd") || setting.value.trim() === "htpasswd";
      return { setting, asked: isPassword ? "a password" : "a token" };
    }
    // Without TLS, registry:2 ignores it.
    const isClientCa = /^http\.tls\.clientcas(?:\.|$)/.test(key) && !NO_LIST.has(setting.value);
    if (isClientCa && hasTls(settings)) return { setting, asked: "a client certificate" };
  }
  return undefined;
}

function hasTls(settings: ReadonlyMap<string, Setting>): boolean {
  return [...settings].some(
    ([key, { value }]) =>
      value !== "" && (key === "http.tls.certificate" || key.startsWith("http.tls.letsencrypt.")),
  );
}

function whoReaches(address: Address | undefined): string {
  if (!address) return "everyone who reaches it";
  const at = formatAddress(address);
  return isLoopbackHost(address.host)
    ? `every user of this machine, and everyone for whom a reverse proxy forwards to ${at},`
    : `everyone who reaches ${at}`;
}

function whatIsExposed(upstream: string, settings: ReadonlyMap<string, Setting>): string {
  const username = settings.get("proxy.username")?.value;
  return username || settings.has("proxy.exec.command")
    ? `all that ${username ? JSON.stringify(username) : "the configured account"} can pull from ${upstream}, private images too`
    : `from ${upstream}`;
}
