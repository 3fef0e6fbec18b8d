import ipaddr from "ipaddr.js";
import { isInside } from "../config/foreign/inside.ts";
import { defaultUrl } from "../config/settings.ts";
import { certsTree } from "./hosts-toml.ts";
import { unitText } from "./service.ts";
import {
  header,
  type Notes,
  isPlain,
  RenderError,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "./target.ts";

const MOVING =
  "A DHCP lease that moves the cache breaks every node at once: its address is set here, and has to be outside of the range that the DHCP server gives away.";
const USER = "entrepot-user.yaml";

export const cloudInit: Target = {
  name: "cloud-init",
  title: "cloud-init, for nodes and for the cache's own machine",
  notes: {
    where:
      "node-user-data.yaml for nodes with containerd; cache-user-data.yaml and cache-network-config.yaml for the cache's machine",
    restart: "nothing: cloud-init runs at a machine's first boot only, and changes no older one",
    mind: [
      MOVING,
      "Nodes need config_path in containerd's config.toml as well: set it in the image, see `entrepot render containerd`.",
    ],
  },
  render: (input, notes) => [
    {
      path: "node-user-data.yaml",
      text: cloudConfig(notes, certsTree("/etc/containerd/certs.d", input, bare)),
    },
    { path: "cache-user-data.yaml", text: cacheUserData(input, notes) },
    {
      path: "cache-network-config.yaml",
      text: `${header(notes)}\n${networkConfig(placeOf(input))}`,
    },
  ],
};

export const proxmox: Target = {
  name: "proxmox",
  title: "a virtual machine of Proxmox VE for the cache",
  notes: {
    where:
      "entrepot-user.yaml into /var/lib/vz/snippets of the Proxmox host; then run entrepot-vm.sh there with the machine's number",
    restart: "`qm reboot NUMBER`: the address is read from the cloud-init drive at every boot",
    mind: [
      MOVING,
      "The storage `local` must allow snippets: Datacenter, Storage, local, Content.",
      "With --cicustom user=…, the user and key from the web page's Cloud-Init tab no longer count.",
    ],
  },
  render: (input, notes) => {
    const { address, gateway, isGuessed } = placeOf(input);
    const six = isSix(address) ? "6" : "";
    const guess = isGuessed ? "# Guessed from the cache's address: check both.\n" : "";
    return [
      {
        path: "entrepot-vm.sh",
        text: `#!/bin/sh
${header(notes)}
set -eu
vm=\${1:?which machine? give its number}
${guess}qm set "$vm" --ipconfig0 "ip${six}=${address},gw${six}=${gateway}"
qm set "$vm" --cicustom "user=local:snippets/${USER}"
qm set "$vm" --onboot 1 --agent enabled=1
qm cloudinit update "$vm"
`,
      },
      { path: USER, text: cacheUserData(input, notes) },
    ];
  },
};

const bare: Notes = { where: "", restart: "", mind: [] };

function cacheUserData(input: RenderInput, notes: Notes): string {
  const settings = `listen: ${listenOf(input)}\nupstreams:\n${input.upstreams.map(entryOf).join("")}`;
  const program =
    "# /usr/local/bin/entrepot, the single executable, has to be in the image, or be fetched from\n# a place of yours before the service is started.\n";
  const files = [
    { path: "/etc/entrepot/entrepot.yaml", text: settings },
    { path: "/etc/systemd/system/entrepot.service", text: unitText() },
  ];
  const commands =
    "runcmd:\n  - [systemctl, daemon-reload]\n  - [systemctl, enable, --now, entrepot]\n";
  const user =
    "users:\n  - default\n  - name: entrepot\n    system: true\n    shell: /usr/sbin/nologin\n";
  return `${cloudConfig(notes, files)}${user}${program}${commands}`;
}

/** An https address is that of a proxy before the cache: user data is no place for a key. */
function listenOf({ cache }: RenderInput): string {
  const port = isPlain(cache) ? Number(cache.port || "80") : 5000;
  if (port < 1024) {
    throw new RenderError(
      `port ${port} is below 1024, which the unit's user may not listen at: write --cache with another, such as http://${cache.hostname}:5000`,
    );
  }
  return cache.hostname.startsWith("[") ? `"[::]:${port}"` : `0.0.0.0:${port}`;
}

function entryOf({ name, server }: RenderInput["upstreams"][number]): string {
  const url = server === defaultUrl(name) ? "" : `    url: "${server}"\n`;
  const own = isInside(new URL(server).hostname) ? "    allowPrivate: true\n" : "";
  return `  "${name}":\n${url}${own}`;
}

function cloudConfig(notes: Notes, files: readonly RenderedFile[]): string {
  const entries = files.map(({ path, text }) => {
    const plain = text.replace(/^(?:#.*\n)+\n/, "");
    return `  - path: ${path}\n    content: |\n${plain.replaceAll(/^(?=.)/gm, "      ")}`;
  });
  return `#cloud-config\n${header(notes)}write_files:\n${entries.join("")}`;
}

/** Version 2, netplan's form. */
function networkConfig({ address, gateway, isGuessed }: Place): string {
  return `${isGuessed ? "# Guessed from the cache's address: check address, gateway and name servers.\n" : ""}version: 2
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

interface Place {
  readonly address: string;
  readonly gateway: string;
  readonly isGuessed: boolean;
}

function isSix(address: string): boolean {
  return address.includes(":");
}

/** In a network of 256 addresses whose first is the router: right in most homes and labs. */
function placeOf({ cache, address, gateway }: RenderInput): Place {
  const match = /^(\d+\.\d+\.\d+)\.\d+$/.exec(cache.hostname);
  const own = address ?? (match ? `${cache.hostname}/24` : undefined);
  const first = /^(\d+\.\d+\.\d+)\.\d+/.exec(own ?? "");
  const router = gateway ?? (first ? `${first[1]}.1` : undefined);
  if (own === undefined || router === undefined) {
    throw new RenderError(
      `${cache.hostname} does not tell the network: give the machine's address, --address 192.168.1.10/24 --gateway 192.168.1.1`,
    );
  }
  if (!ipaddr.isValidCIDR(own)) {
    throw new RenderError(`--address: write address/length, such as 192.168.1.10/24`);
  }
  if (!ipaddr.isValid(router) || isSix(own) !== router.includes(":")) {
    throw new RenderError(`--gateway: write an address of the same family as ${own}`);
  }
  // One that is link-local, as IPv6 has it, is in no network of an address.
  const network = ipaddr.parseCIDR(own);
  const way = ipaddr.parse(router);
  if (way.range() !== "linkLocal" && !way.match(network)) {
    throw new RenderError(
      `--gateway: ${router} is not in the network of ${own}: the machine could not reach it`,
    );
  }
  return {
    address: own,
    gateway: router,
    isGuessed: address === undefined || gateway === undefined,
  };
}
