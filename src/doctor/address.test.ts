import { expect, test } from "bun:test";
import { addressFindings } from "./address.ts";
import { fileSystemOf } from "./disk.ts";
import type { Machine } from "./machine.ts";

interface MadeUp {
  readonly files?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly string[]>>;
  readonly addresses?: readonly object[];
}

function machineOf({ files = {}, folders = {}, addresses = [] }: MadeUp): Machine {
  const links = [
    { ifname: "lo", addr_info: [{ family: "inet", local: "127.0.0.1", scope: "host" }] },
    { ifname: "docker0", addr_info: [{ family: "inet", local: "172.17.0.1", scope: "global" }] },
    { ifname: "eth0", addr_info: addresses },
  ];
  return {
    read: (path) => files[path],
    list: (path) => folders[path] ?? [],
    run: ([program]) => (program === "ip" ? JSON.stringify(links) : undefined),
  };
}

const fixed = { family: "inet", local: "10.0.0.5", prefixlen: 24, scope: "global" };
const leased = { ...fixed, dynamic: true };
const every = { host: "0.0.0.0", port: 5000 };

test("a fixed address is as it should be", () => {
  expect(addressFindings(every, machineOf({ addresses: [fixed] }))).toEqual([
    { topic: "address", subject: "10.0.0.5:5000", state: "ok", found: "on eth0, fixed" },
  ]);
});

const managers: [name: string, made: MadeUp, advice: string][] = [
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
    "`qm set NUMBER --ipconfig0 ip=10.0.0.5/24,gw=GATEWAY`",
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
    "in cloud-init's network configuration (entrepot render cloud-init)",
  ],
  ["ifupdown", {}, "in /etc/network/interfaces: `iface eth0 inet static`, `address 10.0.0.5/24`"],
];

test.each(managers)("a lease is told, and how %s makes it static", (_, made, advice) => {
  const [finding] = addressFindings(every, machineOf({ ...made, addresses: [leased] }));
  expect(finding?.state).toBe("note");
  expect(finding?.found).toContain("leased by DHCP");
  expect(finding?.advice).toContain("reserve 10.0.0.5 for this machine at the DHCP server");
  expect(finding?.advice).toContain(advice);
});

test.each([
  ["127.0.0.1", "only this machine itself can reach it, and no node"],
  ["10.9.9.9", "this machine does not have it"],
])("listening at %s alone is a problem", (host, found) => {
  const [finding] = addressFindings({ host, port: 5000 }, machineOf({ addresses: [fixed] }));
  expect(finding).toMatchObject({ state: "problem", found });
});

const six = { family: "inet6", local: "fd00::4", prefixlen: 64, scope: "global" };
const sixCases: [host: string, addresses: object[], rows: object[]][] = [
  ["fd00::4", [fixed, six], [{ subject: "[fd00::4]:5000", state: "ok" }]],
  ["::", [fixed, six], [{ subject: "10.0.0.5:5000", state: "ok" }]],
  ["::", [six], [{ subject: "[fd00::4]:5000", state: "ok" }]],
  ["::", [{ ...six, dynamic: true }], [{ subject: "[fd00::4]:5000", state: "note" }]],
  [
    "::",
    [{ ...six, temporary: true }],
    [{ state: "problem", found: "this machine has no address" }],
  ],
  ["0.0.0.0", [six], [{ state: "problem", found: "this machine has no address" }]],
  ["fd00::9", [six], [{ state: "problem", found: "this machine does not have it" }]],
];

test.each(sixCases)("IPv6: %s with %j", (host, addresses, rows) => {
  expect(addressFindings({ host, port: 5000 }, machineOf({ addresses }))).toMatchObject(rows);
});

test("without iproute2 nothing is claimed", () => {
  const machine = { ...machineOf({}), run: () => undefined };
  expect(addressFindings(every, machine)).toMatchObject([{ state: "unknown" }]);
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
])("%s is on %s", (folder, type) => {
  expect(fileSystemOf(folder, machineOf({ files: { "/proc/self/mountinfo": mounts } }))).toBe(type);
});
