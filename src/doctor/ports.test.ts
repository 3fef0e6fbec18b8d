import { expect, test } from "bun:test";
import { loadSettings } from "../config/load.ts";
import { freePort } from "../../test/harness/places.ts";
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
  said: string,
][] = [
  ["ufw", { "/etc/ufw/ufw.conf": "ENABLED=yes\n" }, {}, "note", "ufw is on"],
  [
    "ufw that is off",
    { "/etc/ufw/ufw.conf": "ENABLED=no\n" },
    { iptables: iptables("ACCEPT") },
    "ok",
    "nothing here drops",
  ],
  ["firewalld", {}, { "firewall-cmd": "running\n" }, "note", "firewalld is on"],
  [
    "nftables",
    {},
    { nft: nft("drop", "tcp dport 22 accept") },
    "note",
    "what is not allowed is dropped",
  ],
  [
    "nftables with a rule",
    {},
    { nft: nft("accept", "tcp dport 5000 drop") },
    "note",
    "some of what comes in is dropped",
  ],
  ["nftables without one", {}, { nft: nft("accept", "") }, "ok", "nothing here drops"],
  ["iptables", {}, { iptables: iptables("DROP") }, "note", "what is not allowed is dropped"],
  [
    "iptables beside an empty nftables",
    {},
    { nft: "", iptables: iptables("DROP") },
    "note",
    "what is not allowed is dropped",
  ],
  [
    "iptables with a rule",
    {},
    {
      iptables: iptables(
        "ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 5000 -j REJECT --reject-with icmp-port-unreachable",
      ),
    },
    "note",
    "some of what comes in is dropped",
  ],
  ["nothing that can be read", {}, {}, "unknown", "as root they can"],
];

function machineOf(files: Record<string, string>, programs: Record<string, string>): Machine {
  return {
    read: (path) => files[path],
    list: () => [],
    run: ([program = ""]) => programs[program],
  };
}

test.each(firewalls)("firewall: %s", async (_, files, programs, state, said) => {
  const flags = { listen: `127.0.0.1:${freePort()}`, admin: `127.0.0.1:${freePort()}` };
  const findings = await portFindings(loadSettings({ flags }), machineOf(files, programs));
  const firewall = findings.filter(({ topic }) => topic === "firewall");
  expect(firewall).toMatchObject([{ state, found: expect.stringContaining(said) }]);
});

test("a port that another program has at one address alone is not free for all", async () => {
  using other = Bun.serve({ hostname: "127.0.0.3", port: 0, fetch: () => new Response("") });
  const flags = { listen: `0.0.0.0:${other.port}`, admin: `127.0.0.1:${freePort()}` };
  const [listen] = await portFindings(loadSettings({ flags }), machineOf({}, {}));
  expect(listen).toMatchObject({ state: "problem", found: "another program listens" });
});

test("an address that is another machine's is told as such", async () => {
  const flags = { listen: "192.0.2.1:5000", admin: `127.0.0.1:${freePort()}` };
  const [listen] = await portFindings(loadSettings({ flags }), machineOf({}, {}));
  expect(listen).toMatchObject({
    state: "problem",
    found: "this machine does not have the address 192.0.2.1",
  });
});
