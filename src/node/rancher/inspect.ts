import type { FileView } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import type { Finding } from "../findings.ts";
import { sortFindings } from "../findings.ts";
import type { Fact, Inspection, Route } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { readUnit, sparesContainers } from "../service/systemd.ts";
import type { Connection } from "./connection.ts";
import { RegistriesYaml } from "./registries-yaml.ts";

/** Start times are known to about a second. */
const CLOCK_MS = 2_000;

/**
 * Inspects what determines where k3s or RKE2 pulls from: registries.yaml, and what was generated from it
 * at the last start.
 *
 * @param route by the generated files
 */
export async function inspect(
  view: FileView,
  connection: Connection,
  route: (registry: string) => Promise<Route>,
): Promise<Inspection> {
  const { registries: path, isWithoutDefault } = connection.settings(view);
  const yaml = new RegistriesYaml(readText(view, path) ?? "", path);
  const findings: Finding[] = yaml.defects.map((defect) => ({
    ...defect,
    severity: "error",
    consequence: `${connection.title} does not start again, or starts without mirrors`,
    advice: "fix it",
  }));
  if (isWithoutDefault && yaml.mirrors.size > 0) {
    findings.push({
      code: "no-default-endpoint",
      severity: "warning",
      at: { file: path },
      what: "disable-default-registry-endpoint is set",
      consequence: "registries with mirrors cannot be pulled from while all of these fail",
      advice: "unset it, if this node can reach the registries",
    });
  }
  const stale = staleSince(view, connection, path);
  if (stale !== undefined) findings.push(stale);
  else if (yaml.defects.length === 0)
    findings.push(...(await generatedFindings(yaml, path, connection, route)));
  findings.push(...(await criFindings(connection)));
  return {
    facts: await facts(view, connection, path, yaml),
    findings: sortFindings(findings),
  };
}

async function facts(
  view: FileView,
  connection: Connection,
  path: string,
  yaml: RegistriesYaml,
): Promise<Fact[]> {
  const { title, daemon, unit, options } = connection;
  const version = await connection.version();
  const read = readUnit(options.files, unit);
  const exists = view.read(path) !== undefined;
  const list: (readonly [string, string | undefined])[] = [
    [title, version === undefined ? "containerd not asked" : `containerd ${version.text}`],
    ["process", daemon && `${daemon.pid}, since ${new Date(daemon.startedAt).toISOString()}`],
    [
      "unit",
      read &&
        `${read.file}, KillMode=${read.killMode}${sparesContainers(read) ? "" : " (a restart kills containers)"}`,
    ],
    ["configuration", exists ? path : `${path} (does not exist: no mirrors)`],
    ["mirrors of", [...yaml.mirrors.keys()].join(", ") || undefined],
    ["generated", connection.certsDirectory(view)],
  ];
  return list.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

/** registries.yaml is read when the service starts. */
function staleSince(view: FileView, connection: Connection, path: string): Finding | undefined {
  const reason = staleReason(connection, path);
  if (reason === undefined || view.read(path) === undefined) return undefined;
  return {
    code: "restart-due",
    severity: "warning",
    at: { file: path },
    what: reason,
    consequence: `${connection.title} uses what it had read before`,
    advice: `check the other findings first, then restart ${connection.title}`,
  };
}

export function staleReason(
  { daemon, options, title }: Connection,
  path: string,
): string | undefined {
  const modifiedAt = daemon && options.files.modifiedAt(path);
  if (daemon === undefined || modifiedAt === undefined) return undefined;
  if (modifiedAt <= daemon.startedAt + CLOCK_MS) return undefined;
  return `${path} was modified after ${title} started`;
}

/** Registries whose first endpoint is not the first host of the file that was generated for them. */
async function generatedFindings(
  yaml: RegistriesYaml,
  path: string,
  connection: Connection,
  route: (registry: string) => Promise<Route>,
): Promise<Finding[]> {
  if (connection.options.filesOnly) return [];
  const findings: Finding[] = [];
  for (const [registry, { endpoints, line }] of yaml.mirrors) {
    const [first] = endpoints;
    if (first === undefined) continue;
    const { hosts, problems } = await route(registry === "*" ? "_default" : registry);
    // An endpoint without a scheme, or that of the registry itself, is written in another form.
    const isSame = hosts[0] === first.replace(/\/(?:v2\/?)?$/, "") || !first.includes("://");
    if (isSame && problems.length === 0) continue;
    findings.push({
      code: "not-generated",
      severity: "error",
      at: { file: path, line },
      what: `the files of the containerd inside do not lead ${registry} to ${first} first`,
      consequence: "pulls do not go where this file says",
      advice: `restart ${connection.title}, and see whether it is started with another --private-registry`,
    });
  }
  return findings;
}

async function criFindings({ containerd, options, title }: Connection): Promise<Finding[]> {
  if (options.filesOnly) return [];
  try {
    await containerd.callCri("dead", (cri) => cri.version());
    return [];
  } catch (error) {
    if (!(error instanceof RuntimeFault)) throw error;
    return [
      {
        code: "cri-dead",
        severity: "error",
        at: { file: containerd.socket },
        what: `CRI does not respond: ${error.message}`,
        consequence: "no pod can start on this node",
        advice: `start ${title}, and see its log`,
      },
    ];
  }
}
