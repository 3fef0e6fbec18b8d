import type { Address, Settings } from "../config/settings.ts";
import { about, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

const PATIENCE_MS = 3_000;

/** Who answers at a port of this machine. */
export type Listener = "entrepot" | "registry" | "other" | "nobody";

/** Who listens at each port of the configuration, and what stands between it and the nodes. */
export async function portFindings(settings: Settings, machine: Machine): Promise<Finding[]> {
  const { listen, admin, upstreams, tls } = settings;
  const ports = [
    { port: listen.port, of: "listen" },
    ...[...upstreams.values()].flatMap(({ name, port }) =>
      port === undefined ? [] : [{ port, of: name }],
    ),
  ];
  const findings: Finding[] = [];
  for (const { port, of } of ports) {
    findings.push(await portFinding({ host: listen.host, port }, of));
  }
  findings.push(await portFinding(admin, "admin"));
  return [
    ...findings,
    ...firewallFindings(
      ports.map(({ port }) => port),
      tls ? "https" : "http",
      machine,
    ),
  ];
}

/** An address that means all of them is asked at loopback. */
export function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

export function urlOf({ host, port }: Address, scheme: "http" | "https"): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Whose certificate it is says nothing here: it is this machine that is asked. */
export const ANY_CERTIFICATE = { tls: { rejectUnauthorized: false } } as const;

async function portFinding(address: Address, of: string): Promise<Finding> {
  const report = about("port", `${address.port} (${of})`);
  switch (whyNotFree(address)) {
    case undefined:
      return report(
        "note",
        "free: the cache does not run",
        "start it: entrepot serve, or systemctl start entrepot",
      );
    case "EADDRNOTAVAIL":
      return report(
        "problem",
        `this machine does not have the address ${address.host}`,
        "see its addresses with `ip addr`",
      );
    case "EACCES":
      return report(
        "problem",
        "it cannot be listened at by this user",
        "choose a port above 1023, give CAP_NET_BIND_SERVICE, or let systemd open it (entrepot render systemd-socket)",
      );
    default:
      return takenPort(address, report);
  }
}

async function takenPort(address: Address, report: ReturnType<typeof about>): Promise<Finding> {
  const { port } = address;
  switch (await listenerAt({ host: reachable(address.host), port })) {
    case "entrepot":
      return report("ok", "Entrepot answers");
    case "registry":
      return report(
        "problem",
        "another registry answers: an old registry:2?",
        "stop it and what starts it anew (docker rm -f, the Compose file, cron jobs), then start Entrepot. `entrepot import` takes over its settings",
      );
    case "other":
    // It has the port at another address of this machine.
    case "nobody":
      return report(
        "problem",
        "another program listens",
        `find it with \`ss -ltnp 'sport = ${port}'\`, or choose another port`,
      );
  }
}

/** Asked over TLS as well: what is configured by now need not be what runs. */
export async function listenerAt(address: Address): Promise<Listener> {
  const plain = await listenerOver("http", address);
  return plain === "other" ? listenerOver("https", address) : plain;
}

async function listenerOver(scheme: "http" | "https", address: Address): Promise<Listener> {
  try {
    const ask = (path: string): Promise<Response> =>
      fetch(`${urlOf(address, scheme)}${path}`, {
        signal: AbortSignal.timeout(PATIENCE_MS),
        redirect: "manual",
        ...ANY_CERTIFICATE,
      });
    const own = await ask("/entrepot/v1/namespaces");
    await own.body?.cancel();
    if (own.ok && own.headers.get("content-type")?.includes("json")) return "entrepot";
    const metrics = await ask("/metrics");
    if ((await metrics.text()).includes("entrepot_")) return "entrepot";
    const registry = await ask("/v2/");
    await registry.body?.cancel();
    return registry.headers.has("docker-distribution-api-version") ? "registry" : "other";
  } catch (error) {
    // Somebody who does not speak HTTP, or takes too long, is there all the same.
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return /Refused|REFUSED|FailedToOpenSocket|UNREACH|ADDRNOTAVAIL/.test(code)
      ? "nobody"
      : "other";
  }
}

/** The system's reason why nobody can listen there now; undefined where that is possible. */
function whyNotFree({ host, port }: Address): string | undefined {
  try {
    Bun.listen({ hostname: host, port, socket: { data() {} } }).stop(true);
    return undefined;
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "unknown";
  }
}

/** From outside alone it can be proved; what is known to close ports is named. */
function firewallFindings(ports: readonly number[], scheme: string, machine: Machine): Finding[] {
  const report = about("firewall", ports.join(", "));
  const prove = `then prove it from a node: curl -s ${scheme}://THIS-MACHINE:${ports[0]}/v2/`;
  if (/^ENABLED=yes/m.test(machine.read("/etc/ufw/ufw.conf") ?? "")) {
    return [
      report(
        "note",
        "ufw is on",
        `\`ufw allow proto tcp from NODES to any port ${ports.join(",")}\`; ${prove}`,
      ),
    ];
  }
  if (machine.run(["firewall-cmd", "--state"])?.includes("running")) {
    const flags = ports.map((port) => `--add-port=${port}/tcp`).join(" ");
    return [
      report(
        "note",
        "firewalld is on",
        `\`firewall-cmd --permanent ${flags} && firewall-cmd --reload\`; ${prove}`,
      ),
    ];
  }
  // Some machines have rules of both kinds, and each tool tells of its own.
  const asked = [["nft", "list", "ruleset"], ...["iptables", "ip6tables"].map(inputOf)];
  const told = asked.map((command) => machine.run(command)).filter((text) => text !== undefined);
  if (told.length === 0)
    return [report("unknown", "its rules cannot be read (as root they can)", prove)];
  const rules = told.join("\n");
  if (/hook input[^}]*policy drop|^-P INPUT DROP/ms.test(rules)) {
    return [
      report(
        "note",
        "what is not allowed is dropped",
        `see that tcp to ${ports.join(", ")} is allowed (nft list ruleset); ${prove}`,
      ),
    ];
  }
  if (/hook input[^}]*\b(?:drop|reject)\b|^-A INPUT .*-j (?:DROP|REJECT)/m.test(rules)) {
    const advice = `see that tcp to ${ports.join(", ")} is not among it (nft list ruleset, iptables -S INPUT); ${prove}`;
    return [report("note", "some of what comes in is dropped", advice)];
  }
  return [report("ok", "nothing here drops what comes in")];
}

function inputOf(program: string): string[] {
  return [program, "-S", "INPUT"];
}
