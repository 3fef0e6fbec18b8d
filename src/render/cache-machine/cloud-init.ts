import ipaddr from "ipaddr.js";
import { isPrivateHost } from "../../config/foreign/private-host.ts";
import type { PortableConfig } from "../../config/portable-config.ts";
import { defaultUrl } from "../../config/settings.ts";
import { addressesOf, cacheFiles, CONFIG_PATH } from "./cache-files.ts";
import { etcCertsTree } from "../certs-tree.ts";
import { unitText } from "./service.ts";
import {
  header,
  type Notes,
  isPlain,
  RenderError,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "../target.ts";
import { quoted } from "./yaml-text.ts";

const STATIC_ADDRESS =
  "The cache gets a static address, because a changed DHCP lease would break every node at once. Choose an address outside the DHCP server's range.";
const USER = "entrepot-user.yaml";

export const cloudInit: Target = {
  name: "cloud-init",
  title: "cloud-init, for nodes and for the cache's own machine",
  notes: {
    where:
      "node-user-data.yaml for nodes with containerd; cache-user-data.yaml and cache-network-config.yaml for the cache's machine",
    apply:
      "create the machines: cloud-init runs at a machine's first boot only, and does not change existing ones",
    caveats: [
      STATIC_ADDRESS,
      "Nodes also need config_path in containerd's config.toml: set it in the machine image, see `entrepot render containerd`.",
    ],
  },
  render: (input, notes) => [
    {
      path: "node-user-data.yaml",
      text: cloudConfig(notes, etcCertsTree(input)),
    },
    { path: "cache-user-data.yaml", text: cacheUserData(input, notes) },
    {
      path: "cache-network-config.yaml",
      text: `${header(notes)}\n${networkConfig(networkOf(input))}`,
    },
  ],
};

export const proxmox: Target = {
  name: "proxmox",
  title: "a virtual machine of Proxmox VE for the cache",
  notes: {
    where:
      "copy entrepot-user.yaml to /var/lib/vz/snippets on the Proxmox host; then run entrepot-vm.sh there with the VM's ID",
    apply:
      "`qm shutdown VMID && qm start VMID`: the address is read from the cloud-init drive at every boot, and the processor's type as the VM starts",
    caveats: [
      STATIC_ADDRESS,
      "The storage `local` must allow snippets: Datacenter, Storage, local, Content.",
      "--cicustom user=… overrides the user and SSH key of the web interface's Cloud-Init tab.",
    ],
  },
  render: (input, notes) => {
    const { address, gateway, isGuessed } = networkOf(input);
    const suffix = isIpv6(address) ? "6" : "";
    const warning = isGuessed
      ? "# Address and gateway are guessed from the cache's URL: check both.\n"
      : "";
    return [
      {
        path: "entrepot-vm.sh",
        text: `#!/bin/sh
${header(notes)}
set -eu
vm=\${1:?usage: entrepot-vm.sh VMID}
${warning}qm set "$vm" --ipconfig0 "ip${suffix}=${address},gw${suffix}=${gateway}"
qm set "$vm" --cicustom "user=local:snippets/${USER}"
qm set "$vm" --onboot 1 --agent enabled=1
# The program does not run on kvm64, which is the default here: it needs x86-64-v2. With host it also has
# the processor's instructions for SHA-256, by which downloads are verified. If the machine is to move to a
# host with another processor while it runs, use x86-64-v2-AES.
qm set "$vm" --cpu host
qm cloudinit update "$vm"
`,
      },
      { path: USER, text: cacheUserData(input, notes) },
    ];
  },
};

function cacheUserData(input: RenderInput, notes: Notes): string {
  const { config } = input;
  if (config) {
    requireMatch(input.cache, config);
    for (const { address, what } of addressesOf(config)) requireOpenable(address.port, what);
  }
  const given = config ? cacheFiles(config) : undefined;
  const program =
    "# /usr/local/bin/entrepot, the single executable, must be part of the machine image, or be\n# downloaded by a command of yours before the service starts.\n";
  const files = [
    ...(given?.files ?? [{ path: CONFIG_PATH, text: settingsOf(input) }]),
    { path: "/etc/systemd/system/entrepot.service", text: unitText() },
  ];
  const folder =
    given?.dataDirectory === undefined
      ? ""
      : `  - [install, -d, -o, entrepot, -g, entrepot, -m, "0750", ${quoted(given.dataDirectory)}]\n`;
  const commands = `runcmd:\n${folder}  - [systemctl, daemon-reload]\n  - [systemctl, enable, --now, entrepot]\n`;
  const user =
    "users:\n  - default\n  - name: entrepot\n    system: true\n    shell: /usr/sbin/nologin\n";
  return `${cloudConfig(notes, files)}${user}${given?.missing ?? ""}${program}${commands}`;
}

/** Without a configuration: what `--cache` and `--upstream` say. */
function settingsOf(input: RenderInput): string {
  return `listen: ${listenOf(input)}\nupstreams:\n${input.upstreams.map(entryOf).join("")}`;
}

/**
 * Nodes are given `--cache`, and the cache its configuration.
 *
 * @throws RenderError if they would not meet. An https URL may be that of a reverse proxy before the cache
 */
function requireMatch(cache: URL, { listen, hasTls }: PortableConfig): void {
  if (isPlain(cache) && hasTls) {
    throw new RenderError(
      `the configuration has tls, so the cache accepts only HTTPS: use https://${cache.host} in --cache`,
    );
  }
  if (!isPlain(cache) && !hasTls) return;
  const port = Number(cache.port || (isPlain(cache) ? "80" : "443"));
  if (port !== listen.port) {
    throw new RenderError(
      `the configuration listens at port ${listen.port}, but --cache names port ${port}: nodes would not reach it`,
    );
  }
  if (listen.host === "localhost" || /^127\.|^::1$/.test(listen.host)) {
    throw new RenderError(
      `the configuration listens at ${listen.host}, where no node reaches it: use 0.0.0.0 or [::] in listen`,
    );
  }
}

/**
 * An https URL is that of a reverse proxy in front of the cache: user data must not contain the
 * private key that the cache would need to terminate TLS itself.
 *
 * @throws RenderError for a port below 1024, which the unit's user may not open
 */
function listenOf({ cache }: RenderInput): string {
  const port = isPlain(cache) ? Number(cache.port || "80") : 5000;
  requireOpenable(port, `--cache ${cache.origin}`);
  return cache.hostname.startsWith("[") ? `"[::]:${port}"` : `0.0.0.0:${port}`;
}

/** @throws RenderError for a port below 1024, which the unit's user may not open */
function requireOpenable(port: number, what: string): void {
  if (port >= 1024) return;
  throw new RenderError(
    `${what}: port ${port} is below 1024, which the service's user may not open: use another port, such as 5000`,
  );
}

function entryOf({ name, server }: RenderInput["upstreams"][number]): string {
  const url = server === defaultUrl(name) ? "" : `    url: "${server}"\n`;
  const allowPrivate = isPrivateHost(new URL(server).hostname) ? "    allowPrivate: true\n" : "";
  return `  "${name}":\n${url}${allowPrivate}`;
}

function cloudConfig(notes: Notes, files: readonly RenderedFile[]): string {
  const entries = files.map(({ path, text }) => {
    const body = text.replace(/^(?:#.*\n)+\n/, "");
    return `  - path: ${path}\n    content: |\n${body.replaceAll(/^(?=.)/gm, "      ")}`;
  });
  return `#cloud-config\n${header(notes)}write_files:\n${entries.join("")}`;
}

/** Cloud-init's network configuration version 2, which is netplan's format. */
function networkConfig({ address, gateway, isGuessed }: Network): string {
  return `${isGuessed ? "# Guessed from the cache's URL: check address, gateway and name servers.\n" : ""}version: 2
ethernets:
  lan:
    match: { name: "e*" }
    dhcp4: false
    addresses: ["${address}"]
    routes:
      - { to: default, via: "${gateway}" }
    nameservers: { addresses: ["${gateway}"] }
`;
}

interface Network {
  /** In CIDR notation. */
  readonly address: string;
  readonly gateway: string;
  readonly isGuessed: boolean;
}

function isIpv6(address: string): boolean {
  return address.includes(":");
}

/**
 * The machine's address and gateway. What was not passed is guessed: a /24 network whose first
 * address is the router, which is right in most homes and labs.
 *
 * @throws RenderError if an address is invalid, or cannot be guessed from the cache's URL
 */
function networkOf({ cache, address, gateway }: RenderInput): Network {
  const isIpv4 = /^\d+\.\d+\.\d+\.\d+$/.test(cache.hostname);
  const cidr = address ?? (isIpv4 ? `${cache.hostname}/24` : undefined);
  const [, prefix] = /^(\d+\.\d+\.\d+)\.\d+/.exec(cidr ?? "") ?? [];
  const router = gateway ?? (prefix === undefined ? undefined : `${prefix}.1`);
  if (cidr === undefined || router === undefined) {
    throw new RenderError(
      `the network of ${cache.hostname} is unknown: pass the machine's address and gateway, --address 192.168.1.10/24 --gateway 192.168.1.1`,
    );
  }
  if (!ipaddr.isValidCIDR(cidr)) {
    throw new RenderError(`--address: write address/length, such as 192.168.1.10/24`);
  }
  if (!ipaddr.isValid(router) || isIpv6(cidr) !== isIpv6(router)) {
    throw new RenderError(`--gateway: write an address of the same family as ${cidr}`);
  }
  const network = ipaddr.parseCIDR(cidr);
  const parsed = ipaddr.parse(router);
  // An IPv6 router is usually known by its link-local address, which is outside the network.
  if (parsed.range() !== "linkLocal" && !parsed.match(network)) {
    throw new RenderError(
      `--gateway: ${router} is outside the network of ${cidr}, so the machine cannot reach it`,
    );
  }
  return {
    address: cidr,
    gateway: router,
    isGuessed: address === undefined || gateway === undefined,
  };
}
