import { z } from "zod";
import type { Address } from "../config/settings.ts";
import { about, type Finding } from "./finding.ts";
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
  readonly prefix: number;
  /** Given for a time, and maybe another one after. */
  readonly isLeased: boolean;
}

/** This machine's own addresses that others could use; undefined where they cannot be found out. */
export function ownAddresses(machine: Machine): OwnAddress[] | undefined {
  const output = machine.run(["ip", "-j", "addr"]);
  const parsed = output === undefined ? undefined : links.safeParse(safeJson(output));
  if (!parsed?.success) return undefined;
  return parsed.data.flatMap(({ ifname, addr_info }) =>
    addr_info
      .filter(({ scope, temporary }) => scope === "global" && !temporary)
      // Bridges of containers: nobody outside of this machine sees them.
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

/** Whether nodes can reach what is listened at, and will tomorrow. */
export function addressFindings(listen: Address, machine: Machine): Finding[] {
  const own = ownAddresses(machine);
  const report = about("address", written(listen));
  if (!own) return [report("unknown", "`ip -j addr` tells nothing: install iproute2")];
  if (/^127\.|^localhost$|^::1$/.test(listen.host)) {
    const advice = `listen at an address that they reach: listen: 0.0.0.0:${listen.port}`;
    return [report("problem", "only this machine itself can reach it, and no node", advice)];
  }
  const isEvery = listen.host === "0.0.0.0" || listen.host === "::";
  const used = isEvery ? allOf(own, listen) : own.filter(({ address }) => address === listen.host);
  if (used.length === 0) {
    const known = own.map(({ address }) => address).join(", ") || "none";
    const found = isEvery ? "this machine has no address" : "this machine does not have it";
    return [
      report(
        "problem",
        found,
        `its addresses are: ${known}. Set listen to one of them, or 0.0.0.0`,
      ),
    ];
  }
  return used.map((one) => {
    const row = about("address", written({ host: one.address, port: listen.port }));
    if (!one.isLeased) return row("ok", `on ${one.link}, fixed`);
    if (one.family === "inet6") {
      const advice = "let nodes use a fixed address, or a name that follows this one";
      return row("note", `on ${one.link}, as long as the network announces this prefix`, advice);
    }
    const found = `on ${one.link}, leased by DHCP: once it changes, every node's mirror points nowhere`;
    return row("note", found, howToFix(one, machine));
  });
}

/** What an address for all of them stands for. Those of IPv6 count where nothing else does. */
function allOf(own: readonly OwnAddress[], { host }: Address): readonly OwnAddress[] {
  const four = own.filter(({ family }) => family === "inet");
  return host === "::" && four.length === 0 ? own : four;
}

function written({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** In the words of whoever manages the address. */
function howToFix({ link, address, prefix }: OwnAddress, machine: Machine): string {
  const reserve = `reserve ${address} for this machine at the DHCP server, or make it static: `;
  const netplan = machine.list("/etc/netplan").filter((name) => name.endsWith(".yaml"));
  const isProxmox = /QEMU/.test(machine.read("/sys/class/dmi/id/sys_vendor") ?? "");
  if (isProxmox && machine.list("/var/lib/cloud").length > 0) {
    return `${reserve}on Proxmox \`qm set NUMBER --ipconfig0 ip=${address}/${prefix},gw=GATEWAY\` (entrepot render proxmox)`;
  }
  const ifupdown = machine.list("/etc/network/interfaces.d");
  if ([...netplan, ...ifupdown].some((name) => name.includes("cloud-init"))) {
    return `${reserve}in cloud-init's network configuration${netplan.length > 0 ? ", or by a file of its own in /etc/netplan after 50-cloud-init.yaml" : ""} (entrepot render cloud-init)`;
  }
  if (netplan.length > 0) {
    return `${reserve}in /etc/netplan/${netplan[0]}: under ${link} \`dhcp4: false\`, \`addresses: [${address}/${prefix}]\` and a route to default; then \`netplan try\``;
  }
  if (machine.list("/run/NetworkManager").length > 0) {
    return `${reserve}\`nmcli con mod NAME ipv4.method manual ipv4.addresses ${address}/${prefix} ipv4.gateway GATEWAY\`, then \`nmcli con up NAME\``;
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
