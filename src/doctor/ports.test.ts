import { expect, test } from "bun:test";
import { load } from "../config/configtest/load-text.ts";
import { loadSettings } from "../config/load.ts";
import { freePort } from "../../test/harness/free-port.ts";
import type { Machine } from "./machine.ts";
import { portFindings } from "./ports.ts";

/** As `nft list ruleset` prints it. */
const nft = (policy: string, rule: string): string => `table inet filter {
	chain input {
		type filter hook input priority filter; policy ${policy};
		${rule}
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
`;
const iptables = (policy: string, ...rules: string[]): string =>
  [`-P INPUT ${policy}`, ...rules, ""].join("\n");

const firewalls: [
  name: string,
  files: Record<string, string>,
  programs: Record<string, string>,
  state: string,
  expected: string,
][] = [
  ["active ufw", { "/etc/ufw/ufw.conf": "ENABLED=yes\n" }, {}, "note", "ufw is active"],
  [
    "inactive ufw",
    { "/etc/ufw/ufw.conf": "ENABLED=no\n" },
    { iptables: iptables("ACCEPT") },
    "ok",
    "no rule on this machine drops",
  ],
  ["firewalld", {}, { "firewall-cmd": "running\n" }, "note", "firewalld is active"],
  [
    "nftables with policy drop",
    {},
    { nft: nft("drop", "tcp dport 22 accept") },
    "note",
    "incoming traffic is dropped by default",
  ],
  [
    "nftables with a drop rule",
    {},
    { nft: nft("accept", "tcp dport 5000 drop") },
    "note",
    "rules drop or reject some incoming traffic",
  ],
  ["nftables without rules", {}, { nft: nft("accept", "") }, "ok", "no rule on this machine drops"],
  [
    "iptables with policy DROP",
    {},
    { iptables: iptables("DROP") },
    "note",
    "incoming traffic is dropped by default",
  ],
  [
    "iptables with policy DROP and an empty nftables ruleset",
    {},
    { nft: "", iptables: iptables("DROP") },
    "note",
    "incoming traffic is dropped by default",
  ],
  [
    "iptables with a REJECT rule",
    {},
    {
      iptables: iptables(
        "ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 5000 -j REJECT --reject-with icmp-port-unreachable",
      ),
    },
    "note",
    "rules drop or reject some incoming traffic",
  ],
  ["unreadable rules", {}, {}, "unknown", "cannot be read without root privileges"],
];

function machineOf(files: Record<string, string>, programs: Record<string, string>): Machine {
  return {
    link: () => undefined,
    read: (path) => files[path],
    list: () => [],
    run: ([program = ""]) => programs[program],
  };
}

test.each(firewalls)("firewall: %s", async (_, files, programs, state, expected) => {
  const flags = { listen: `0.0.0.0:${freePort()}`, admin: `127.0.0.1:${freePort()}` };
  const findings = await portFindings(loadSettings({ flags }), machineOf(files, programs));
  const firewall = findings.filter(({ topic }) => topic === "firewall");
  expect(firewall).toMatchObject([{ state, found: expect.stringContaining(expected) }]);
});

test("a port in use on one address is a problem for the wildcard address", async () => {
  using other = Bun.serve({ hostname: "127.0.0.3", port: 0, fetch: () => new Response("") });
  const flags = { listen: `0.0.0.0:${other.port}`, admin: `127.0.0.1:${freePort()}` };
  const [listen] = await portFindings(loadSettings({ flags }), machineOf({}, {}));
  expect(listen).toMatchObject({ state: "problem", found: "another program listens on it" });
});

test("an address that this machine does not have is a problem", async () => {
  const flags = { listen: "192.0.2.1:5000", admin: `127.0.0.1:${freePort()}` };
  const [listen] = await portFindings(loadSettings({ flags }), machineOf({}, {}));
  expect(listen).toMatchObject({
    state: "problem",
    found: "this machine does not have the address 192.0.2.1",
  });
});

test("the addresses of upstreams are told apart, and firewalls are none of loopback's business", async () => {
  const [port, other, admin] = [freePort(), freePort(), freePort()];
  const settings = load(
    `upstreams: { a.test: { listen: "127.0.0.2:${port}" }, b.test: { port: ${other} } }\n`,
    { listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${admin}` },
  );
  using foreign = Bun.serve({ hostname: "127.0.0.2", port, fetch: () => new Response("") });
  const findings = await portFindings(settings, machineOf({}, { iptables: iptables("DROP") }));
  expect(foreign.port).toBe(port);
  expect(findings.map(({ subject, state }) => `${subject}: ${state}`)).toEqual([
    `${port} (listen): note`,
    `127.0.0.2:${port} (a.test): problem`,
    `${other} (b.test): note`,
    `${admin} (admin): note`,
  ]);
});
