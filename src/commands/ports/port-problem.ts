import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Address } from "../../config/parsing/address.ts";
import { thisMachine } from "../../doctor/machine.ts";
import { portHolder } from "../../doctor/port-holder.ts";

const FLAGS: Readonly<Record<string, string>> = { listen: "--listen", admin: "--admin" };
/** The setting of the port for other replicas, which has no flag. */
const CLUSTER_LISTEN = "cluster.listen";

/**
 * Why the cache cannot listen at an address, and what to do about it.
 *
 * @param setting the setting that names the address
 */
export function portProblem(setting: string, address: Address, cause: unknown): string {
  return `${setting} ${formatAddress(address)} cannot be opened: ${reason(setting, address, cause)}`;
}

function reason(setting: string, address: Address, cause: unknown): string {
  const { host, port } = address;
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "EADDRINUSE": {
      const { name, advice } = portHolder(port, thisMachine);
      return `${name} listens there (${advice}). Stop it, or ${otherPort(setting, address)}`;
    }
    case "EACCES":
      return `ports below 1024 need CAP_NET_BIND_SERVICE. Let systemd open it (\`entrepot render systemd-socket\`), or ${otherPort(setting, address)}`;
    case "EADDRNOTAVAIL":
      return `this machine does not have that address. It has ${ownAddresses().join(", ")}; 0.0.0.0 stands for all`;
  }
  if (isIP(host) === 0) {
    return `${host} is not a name of this machine, or no name server knows it. Write an address: ${ownAddresses().join(", ")}, or 0.0.0.0 for all`;
  }
  if (/^fe80:/i.test(host)) {
    return "a link-local address is one of each network card. Write another one, or [::] for all";
  }
  return cause instanceof Error ? cause.message : String(cause);
}

/** What to write instead, for the command that was given. */
function otherPort(setting: string, { host, port }: Address): string {
  if (setting === CLUSTER_LISTEN) {
    const other = freePortAfter({ host, port });
    return `give ${setting} another port in the configuration, such as ${other}, and name it in cluster.members of the other replicas`;
  }
  const flag = FLAGS[setting];
  if (flag === undefined)
    return "give the upstream another `port` or `listen` in the configuration";
  const other = { host, port: port < 1024 ? port + 5000 : freePortAfter({ host, port }) };
  const isNpmStart = process.env["npm_lifecycle_event"] === "start";
  return `choose another port: ${isNpmStart ? "npm start -- " : ""}${flag} ${formatAddress(other)}`;
}

/** The first free port from 50 above: the ports in between may be those of upstreams. */
function freePortAfter({ host, port }: Address): number {
  const first = port + 50 <= 65_535 ? port + 50 : 5050;
  for (let other = first; other < first + 10; other += 1) {
    try {
      Bun.listen({ hostname: host, port: other, socket: { data() {} } }).stop(true);
      return other;
    } catch {
      // Also taken.
    }
  }
  return first;
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flat()
    .flatMap((one) => (one && !/^fe80:/i.test(one.address) ? [one.address] : []));
}

function formatAddress({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
