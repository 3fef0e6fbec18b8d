import { isLoopbackHost, isSameHost } from "../config/parsing/host-overlap.ts";
import { addressOf, type Settings } from "../config/settings.ts";
import { type Address, formatAddress } from "../config/parsing/address.ts";
import { type Finding, reporter } from "./finding.ts";
import { portHolder } from "./port-holder.ts";
import type { Machine } from "./machine.ts";

/** Timeout of each request to a local port. */
const TIMEOUT_MS = 3_000;

/** The program that listens on a port of this machine; `none` if connections are refused. */
export type Listener = "entrepot" | "registry" | "other" | "none";

/** Checks which program listens on each configured port, and whether a firewall blocks nodes. */
export async function portFindings(settings: Settings, machine: Machine): Promise<Finding[]> {
  const { listen, admin, upstreams, tls } = settings;
  const addresses = [
    { address: listen, usedFor: "listen" },
    ...[...upstreams.values()].flatMap((upstream) => {
      const address = addressOf(upstream, settings);
      return address ? [{ address, usedFor: upstream.name }] : [];
    }),
  ];
  const findings: Finding[] = [];
  for (const { address, usedFor } of addresses) {
    const subject = isSameHost(address.host, listen.host) ? address.port : formatAddress(address);
    findings.push(await portFinding(address, `${subject} (${usedFor})`, machine));
  }
  findings.push(await portFinding(admin, `${admin.port} (admin)`, machine));
  // No firewall is between this machine and itself.
  const open = addresses.filter(({ address }) => !isLoopbackHost(address.host));
  const ports = [...new Set(open.map(({ address }) => address.port))];
  if (ports.length === 0) return findings;
  return [...findings, ...firewallFindings(ports, tls ? "https" : "http", machine)];
}

/** The host to connect to from this machine: loopback for a wildcard address. */
export function dialableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

export function urlOf(address: Address, scheme: "http" | "https"): string {
  return `${scheme}://${formatAddress(address)}`;
}

/**
 * Requests to this machine itself accept any certificate: `certificateFindings` checks it instead.
 */
export const ANY_CERTIFICATE = { tls: { rejectUnauthorized: false } } as const;

async function portFinding(address: Address, subject: string, machine: Machine): Promise<Finding> {
  const report = reporter("port", subject);
  switch (bindError(address)) {
    case undefined:
      return report(
        "note",
        "free: the cache is not running",
        "start it: `entrepot serve`, or `systemctl start entrepot`",
      );
    case "EADDRNOTAVAIL":
      return report(
        "problem",
        `this machine does not have the address ${address.host}`,
        "list its addresses with `ip addr`, and set one of them",
      );
    case "EACCES":
      return report(
        "problem",
        "this user may not listen on it",
        "choose a port above 1023, grant CAP_NET_BIND_SERVICE, or let systemd open the port (`entrepot render systemd-socket`)",
      );
    default:
      return inUseFinding(address, report, machine);
  }
}

async function inUseFinding(
  address: Address,
  report: ReturnType<typeof reporter>,
  machine: Machine,
): Promise<Finding> {
  const { port } = address;
  const { name, advice } = portHolder(port, machine);
  switch (await listenerAt({ host: dialableHost(address.host), port })) {
    case "entrepot":
      return report("ok", "Entrepot responds");
    case "registry":
      return report(
        "problem",
        `another registry responds, possibly an old registry:2: ${name}`,
        `${advice}. Stop it and whatever restarts it (docker rm -f, the Compose file, cron jobs), then start Entrepot. \`entrepot import\` converts its settings`,
      );
    case "other":
    // The port is in use on another address of this machine.
    case "none":
      return report(
        "problem",
        `${name} listens on it`,
        `${advice}. Stop it, or choose another port`,
      );
  }
}

/**
 * Tries HTTP, then HTTPS: `tls` may have been changed in the configuration since the cache started.
 */
export async function listenerAt(address: Address): Promise<Listener> {
  const plain = await listenerOver("http", address);
  return plain === "other" ? listenerOver("https", address) : plain;
}

async function listenerOver(scheme: "http" | "https", address: Address): Promise<Listener> {
  try {
    const get = (path: string): Promise<Response> =>
      fetch(`${urlOf(address, scheme)}${path}`, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: "manual",
        ...ANY_CERTIFICATE,
      });
    const namespaces = await get("/entrepot/v1/namespaces");
    await namespaces.body?.cancel();
    if (namespaces.ok && namespaces.headers.get("content-type")?.includes("json"))
      return "entrepot";
    const metrics = await get("/metrics");
    // Where a token is needed, the refusal says whose it is.
    if (/entrepot_|urn:entrepot:/.test(await metrics.text())) return "entrepot";
    const registry = await get("/v2/");
    await registry.body?.cancel();
    return registry.headers.has("docker-distribution-api-version") ? "registry" : "other";
  } catch (error) {
    // A timeout or a protocol error means that a program listens, though it does not speak HTTP.
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return /Refused|REFUSED|FailedToOpenSocket|UNREACH|ADDRNOTAVAIL/.test(code) ? "none" : "other";
  }
}

/** The error code of bind(2) or listen(2) for an address; undefined if it is free. */
function bindError({ host, port }: Address): string | undefined {
  try {
    Bun.listen({ hostname: host, port, socket: { data() {} } }).stop(true);
    return undefined;
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "unknown";
  }
}

/**
 * Looks for firewalls that may block the ports. Whether they do can only be tested from a node, so
 * each advice has the command for that.
 */
function firewallFindings(ports: readonly number[], scheme: string, machine: Machine): Finding[] {
  const report = reporter("firewall", ports.join(", "));
  const verify = `then verify from a node: \`curl -s ${scheme}://THIS-MACHINE:${ports[0]}/v2/\``;
  if (/^ENABLED=yes/m.test(machine.read("/etc/ufw/ufw.conf") ?? "")) {
    return [
      report(
        "note",
        "ufw is active",
        `allow the nodes: \`ufw allow proto tcp from NODES to any port ${ports.join(",")}\`; ${verify}`,
      ),
    ];
  }
  if (machine.run(["firewall-cmd", "--state"])?.includes("running")) {
    const flags = ports.map((port) => `--add-port=${port}/tcp`).join(" ");
    return [
      report(
        "note",
        "firewalld is active",
        `open the ports: \`firewall-cmd --permanent ${flags} && firewall-cmd --reload\`; ${verify}`,
      ),
    ];
  }
  // A machine may have both nftables and legacy iptables rules, and each tool lists only its own.
  const commands = [["nft", "list", "ruleset"], ...["iptables", "ip6tables"].map(inputRules)];
  const outputs = commands
    .map((command) => machine.run(command))
    .filter((text) => text !== undefined);
  if (outputs.length === 0) {
    const advice = `run the doctor as root; ${verify}`;
    return [report("unknown", "its rules cannot be read without root privileges", advice)];
  }
  const rules = outputs.join("\n");
  if (/hook input[^}]*policy drop|^-P INPUT DROP/ms.test(rules)) {
    return [
      report(
        "note",
        "incoming traffic is dropped by default",
        `make sure that TCP to ${ports.join(", ")} is allowed (\`nft list ruleset\`, \`iptables -S INPUT\`); ${verify}`,
      ),
    ];
  }
  if (/hook input[^}]*\b(?:drop|reject)\b|^-A INPUT .*-j (?:DROP|REJECT)/m.test(rules)) {
    const advice = `make sure that TCP to ${ports.join(", ")} is not affected (\`nft list ruleset\`, \`iptables -S INPUT\`); ${verify}`;
    return [report("note", "rules drop or reject some incoming traffic", advice)];
  }
  return [report("ok", "no rule on this machine drops incoming traffic")];
}

function inputRules(program: string): string[] {
  return [program, "-S", "INPUT"];
}
