import { networkInterfaces } from "node:os";
import type { ClusterSettings } from "../../config/cluster-settings.ts";

/** Where other replicas reach this one, if the configuration does not say it. */
export function ownUrl({ listen, tls, advertise }: ClusterSettings, port: number): URL {
  if (advertise) return advertise;
  const host = isAny(listen.host) ? firstAddress() : listen.host;
  const written = host.includes(":") ? `[${host}]` : host;
  return new URL(`${tls ? "https" : "http"}://${written}:${port}`);
}

/** The first address of this machine that is not its own loopback: IPv4, if there is one. */
function firstAddress(): string {
  const all = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  const first = all.find(({ family }) => family === "IPv4") ?? all[0];
  return first?.address ?? "127.0.0.1";
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
