import { expect, test } from "bun:test";
import { load } from "../config/configtest/load-text.ts";
import { loadSettings } from "../config/load.ts";
import { addressFindings } from "./address.ts";
import { fileSystemOf } from "./disk.ts";
import type { Machine } from "./machine.ts";

interface FakeMachine {
  readonly files?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly string[]>>;
  readonly addresses?: readonly object[];
}

function machineOf({ files = {}, folders = {}, addresses = [] }: FakeMachine): Machine {
  const links = [
    { ifname: "lo", addr_info: [{ family: "inet", local: "127.0.0.1", scope: "host" }] },
    { ifname: "docker0", addr_info: [{ family: "inet", local: "172.17.0.1", scope: "global" }] },
    { ifname: "eth0", addr_info: addresses },
  ];
  return {
    link: () => undefined,
    read: (path) => files[path],
    list: (path) => folders[path] ?? [],
    run: ([program]) => (program === "ip" ? JSON.stringify(links) : undefined),
  };
}

const fixed = { family: "inet", local: "10.0.0.5", prefixlen: 24, scope: "global" };
const leased = { ...fixed, dynamic: true };
const at = (host: string) => loadSettings({ flags: { listen: `${host}:5000` } });
const wildcard = at("0.0.0.0");

test("a static address is ok", () => {
  expect(addressFindings(wildcard, machineOf({ addresses: [fixed] }))).toEqual([
    { topic: "address", subject: "10.0.0.5:5000", state: "ok", found: "on eth0, static" },
  ]);
});

const managers: [name: string, fake: FakeMachine, advice: string][] = [
  [
    "netplan",
    { folders: { "/etc/netplan": ["01-lan.yaml"] } },
    "in /etc/netplan/01-lan.yaml: under eth0 `dhcp4: false`, `addresses: [10.0.0.5/24]`",
  ],
  [
    "cloud-init",
    { folders: { "/etc/netplan": ["50-cloud-init.yaml"] } },
    "in cloud-init's network configuration",
  ],
  [
    "Proxmox",
    {
      folders: { "/var/lib/cloud": ["instance"], "/etc/netplan": ["50-cloud-init.yaml"] },
      files: { "/sys/class/dmi/id/sys_vendor": "QEMU\n" },
    },
    "`qm set VMID --ipconfig0 ip=10.0.0.5/24,gw=GATEWAY`",
  ],
  [
    "NetworkManager",
    { folders: { "/run/NetworkManager": ["devices"] } },
    "`nmcli con mod NAME ipv4.method manual ipv4.addresses 10.0.0.5/24",
  ],
  [
    "systemd-networkd",
    { folders: { "/run/systemd/netif/links": ["2"] } },
    "in /etc/systemd/network/*.network for eth0: `DHCP=no`, `Address=10.0.0.5/24`",
  ],
  [
    "cloud-init with ifupdown",
    { folders: { "/etc/network/interfaces.d": ["50-cloud-init"] } },
    "in cloud-init's network configuration (see `entrepot render cloud-init`)",
  ],
  ["ifupdown", {}, "in /etc/network/interfaces: `iface eth0 inet static`, `address 10.0.0.5/24`"],
];

test.each(managers)(
  "a DHCP lease on a machine with %s is a note that says how to make it static",
  (_, fake, advice) => {
    const [finding] = addressFindings(wildcard, machineOf({ ...fake, addresses: [leased] }));
    expect(finding?.state).toBe("note");
    expect(finding?.found).toContain("leased by DHCP");
    expect(finding?.advice).toContain("reserve 10.0.0.5 for this machine at the DHCP server");
    expect(finding?.advice).toContain(advice);
  },
);

test.each([
  ["127.0.0.1", "only this machine can reach it, not the nodes"],
  ["[::1]", "only this machine can reach it, not the nodes"],
  ["10.9.9.9", "this machine does not have this address"],
])("listening on %s only is a problem", (host, found) => {
  const [finding] = addressFindings(at(host), machineOf({ addresses: [fixed] }));
  expect(finding).toMatchObject({ state: "problem", found });
});

test("the hosts at which upstreams listen are checked, each once", () => {
  const settings = load(
    `upstreams:
  a.test: { listen: 127.0.0.2:5010 }
  b.test: { listen: 10.0.0.5:5010 }
  c.test: { listen: 10.0.0.5:5020 }
  d.test: { port: 5030 }
`,
    { listen: "127.0.0.1:5000" },
  );
  expect(addressFindings(settings, machineOf({ addresses: [fixed] }))).toMatchObject([
    { subject: "127.0.0.1:5000", state: "note" },
    { subject: "10.0.0.5:5010", state: "ok" },
  ]);
});

const ipv6 = { family: "inet6", local: "fd00::4", prefixlen: 64, scope: "global" };
const ipv6Cases: [host: string, addresses: object[], rows: object[]][] = [
  ["fd00::4", [fixed, ipv6], [{ subject: "[fd00::4]:5000", state: "ok" }]],
  ["::", [fixed, ipv6], [{ subject: "10.0.0.5:5000", state: "ok" }]],
  ["::", [ipv6], [{ subject: "[fd00::4]:5000", state: "ok" }]],
  ["::", [{ ...ipv6, dynamic: true }], [{ subject: "[fd00::4]:5000", state: "note" }]],
  [
    "::",
    [{ ...ipv6, temporary: true }],
    [{ state: "problem", found: "this machine has no address" }],
  ],
  ["0.0.0.0", [ipv6], [{ state: "problem", found: "this machine has no address" }]],
  ["fd00::9", [ipv6], [{ state: "problem", found: "this machine does not have this address" }]],
];

test.each(ipv6Cases)(
  "listening on %s of a machine with the addresses %j",
  (host, addresses, rows) => {
    expect(addressFindings(at(`[${host}]`), machineOf({ addresses }))).toMatchObject(rows);
  },
);

test("without iproute2 the finding is unknown", () => {
  const machine = { ...machineOf({}), run: () => undefined };
  expect(addressFindings(wildcard, machine)).toMatchObject([{ state: "unknown" }]);
});

const mounts = [
  "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
  "30 22 0:40 / /srv rw shared:1 - nfs4 nas:/x rw",
  "31 30 0:41 / /srv/local\\040disk rw - xfs /dev/sdb rw",
  "32 22 0:42 / /data rw - ext4 /dev/sdc rw",
  "33 32 0:43 / /data rw - tmpfs tmpfs rw",
].join("\n");

test.each([
  ["/var/lib/entrepot", "ext4"],
  ["/srv", "nfs4"],
  ["/srv/entrepot", "nfs4"],
  ["/srv/local disk/x", "xfs"],
  ["/srvx", "ext4"],
  ["/data/x", "tmpfs"],
])("%s is on file system %s", (folder, type) => {
  expect(fileSystemOf(folder, machineOf({ files: { "/proc/self/mountinfo": mounts } }))).toBe(type);
});
