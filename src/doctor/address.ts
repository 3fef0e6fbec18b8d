import { z } from "zod";
import { type Address, formatAddress } from "../config/parsing/address.ts";
import { isLoopbackHost, isSameHost } from "../config/parsing/host-overlap.ts";
import type { Settings } from "../config/settings.ts";
import { type Finding, reporter } from "./finding.ts";
import type { Machine } from "./machine.ts";

const links = z.array(
  z.object({
    ifname: z.string(),
    addr_info: z
      .array(
        z.object({
          family: z.string(),
          local: z.string().optional(),
          prefixlen: z.number().optional(),
          scope: z.string().optional(),
          dynamic: z.boolean().optional(),
          temporary: z.boolean().optional(),
        }),
      )
      .default([]),
  }),
);

export interface OwnAddress {
  readonly link: string;
  readonly family: "inet" | "inet6";
  readonly address: string;
  /** The network's prefix length. */
  readonly prefix: number;
  /** Assigned for a limited time by DHCP or a router advertisement, so it may change. */
  readonly isLeased: boolean;
}

/**
 * This machine's addresses that other machines may connect to; undefined if `ip` is not available.
 */
export function ownAddresses(machine: Machine): OwnAddress[] | undefined {
  const output = machine.run(["ip", "-j", "addr"]);
  const parsed = output === undefined ? undefined : links.safeParse(safeJson(output));
  if (!parsed?.success) return undefined;
  return parsed.data.flatMap(({ ifname, addr_info }) =>
    addr_info
      .filter(({ scope, temporary }) => scope === "global" && !temporary)
      // Container bridges: no other machine can reach their addresses.
      .filter(() => !/^(?:docker|br-|veth|cni|flannel|cali|virbr|podman)/.test(ifname))
      .map(({ family, local = "", prefixlen = 0, dynamic = false }) => ({
        link: ifname,
        family: family === "inet6" ? ("inet6" as const) : ("inet" as const),
        address: local,
        prefix: prefixlen,
        isLeased: dynamic,
      })),
  );
}

/**
 * Checks the address in `listen`, and those of upstreams that listen at another host. Where upstreams
 * have addresses of their own, one at loopback is meant for this machine.
 */
export function addressFindings({ listen, upstreams }: Settings, machine: Machine): Finding[] {
  const own = [...upstreams.values()].flatMap((upstream) => upstream.listen ?? []);
  const addresses = [listen];
  for (const address of own) {
    if (isLoopbackHost(address.host)) continue;
    if (!addresses.some(({ host }) => isSameHost(host, address.host))) addresses.push(address);
  }
  const atLoopback = own.length > 0 ? "note" : "problem";
  return addresses.flatMap((address) => findingsAt(address, machine, atLoopback));
}

/** Checks whether nodes can reach an address, and whether it may change. */
function findingsAt(listen: Address, machine: Machine, atLoopback: "note" | "problem"): Finding[] {
  const own = ownAddresses(machine);
  const report = reporter("address", formatAddress(listen));
  if (!own) {
    return [report("unknown", "`ip -j addr` cannot be run", "install iproute2")];
  }
  if (isLoopbackHost(listen.host)) {
    const advice = `unless a reverse proxy on this machine forwards to it, set an address that nodes can reach: listen: 0.0.0.0:${listen.port}`;
    return [report(atLoopback, "only this machine can reach it, not the nodes", advice)];
  }
  const isWildcard = listen.host === "0.0.0.0" || listen.host === "::";
  const used = isWildcard
    ? wildcardAddresses(own, listen)
    : own.filter(({ address }) => address === listen.host);
  if (used.length === 0) {
    const known = own.map(({ address }) => address).join(", ") || "none";
    const found = isWildcard
      ? "this machine has no address"
      : "this machine does not have this address";
    const advice = `its addresses are: ${known}. Set listen to one of them, or to 0.0.0.0`;
    return [report("problem", found, advice)];
  }
  return used.map((one) => {
    const row = reporter("address", formatAddress({ host: one.address, port: listen.port }));
    if (!one.isLeased) return row("ok", `on ${one.link}, static`);
    if (one.family === "inet6") {
      const advice = "let nodes use a static address, or a DNS name that is updated with this one";
      return row("note", `on ${one.link}, valid while the network announces this prefix`, advice);
    }
    const found = `on ${one.link}, leased by DHCP: if it changes, no node reaches the cache`;
    return row("note", found, staticAddressAdvice(one, machine));
  });
}

/** The addresses that a wildcard stands for; IPv6 ones only if there is no IPv4 address. */
function wildcardAddresses(own: readonly OwnAddress[], { host }: Address): readonly OwnAddress[] {
  const ipv4 = own.filter(({ family }) => family === "inet");
  return host === "::" && ipv4.length === 0 ? own : ipv4;
}

/** How to make the address static with the software that configures this machine's network. */
function staticAddressAdvice({ link, address, prefix }: OwnAddress, machine: Machine): string {
  const reserve = `reserve ${address} for this machine at the DHCP server, or make it static: `;
  const netplan = machine.list("/etc/netplan").filter((name) => name.endsWith(".yaml"));
  const isProxmox = /QEMU/.test(machine.read("/sys/class/dmi/id/sys_vendor") ?? "");
  if (isProxmox && machine.list("/var/lib/cloud").length > 0) {
    return `${reserve}on the Proxmox host \`qm set VMID --ipconfig0 ip=${address}/${prefix},gw=GATEWAY\` (see \`entrepot render proxmox\`)`;
  }
  const ifupdown = machine.list("/etc/network/interfaces.d");
  if ([...netplan, ...ifupdown].some((name) => name.includes("cloud-init"))) {
    return `${reserve}in cloud-init's network configuration${netplan.length > 0 ? ", or in another file of /etc/netplan that sorts after 50-cloud-init.yaml" : ""} (see \`entrepot render cloud-init\`)`;
  }
  if (netplan.length > 0) {
    return `${reserve}in /etc/netplan/${netplan[0]}: under ${link} \`dhcp4: false\`, \`addresses: [${address}/${prefix}]\` and a default route; then \`netplan try\``;
  }
  if (machine.list("/run/NetworkManager").length > 0) {
    return `${reserve}run \`nmcli con mod NAME ipv4.method manual ipv4.addresses ${address}/${prefix} ipv4.gateway GATEWAY\`, then \`nmcli con up NAME\``;
  }
  if (machine.list("/run/systemd/netif/links").length > 0) {
    return `${reserve}in /etc/systemd/network/*.network for ${link}: \`DHCP=no\`, \`Address=${address}/${prefix}\`, \`Gateway=…\`; then \`networkctl reload\``;
  }
  return `${reserve}in /etc/network/interfaces: \`iface ${link} inet static\`, \`address ${address}/${prefix}\`, \`gateway …\``;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
