import type { Daemon } from "../service/daemon.ts";
import type { FileView } from "../files/node-files.ts";
import type { Finding } from "../findings.ts";
import { sortFindings } from "../findings.ts";
import type { Fact, Inspection } from "../runtime.ts";
import type { Engine } from "./connection.ts";
import { isReadAfterOwn } from "./plan.ts";
import type { Registries } from "./registries.ts";
import { OWN_PATH, homesWithRegistries, inForce, narrower, readRegistries } from "./registries.ts";

export interface InspectInput {
  readonly view: FileView;
  readonly engine: Engine;
  readonly daemon: Daemon | undefined;
}

/** Inspects the files that determine where Podman and CRI-O pull from. */
export function inspect({ view, engine, daemon }: InspectInput): Inspection {
  const registries = readRegistries(view);
  const findings: Finding[] = [
    ...registries.defects.map((defect): Finding => ({
      code: "config-syntax",
      severity: "error",
      ...defect,
      consequence: `every pull of ${engine.title} fails`,
      advice: "fix the syntax",
    })),
    ...shadowFindings(registries),
    ...userFindings(view, registries),
  ];
  return { facts: facts(engine, daemon, registries), findings: sortFindings(findings) };
}

function facts(engine: Engine, daemon: Daemon | undefined, registries: Registries): Fact[] {
  const prefixes = [...new Set(registries.registries.map(({ prefix }) => prefix))];
  const mirrored = prefixes.filter((it) => (inForce(registries, it)?.mirrors.length ?? 0) > 0);
  const list: (readonly [string, string | undefined])[] = [
    [engine.title, `${engine.version.text} (${engine.source})`],
    ["process", daemon && `${daemon.pid}, since ${new Date(daemon.startedAt).toISOString()}`],
    ["configuration", registries.files.join(", ") || "none: defaults"],
    ["mirrors of", mirrored.join(", ") || undefined],
  ];
  return list.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

/** Entries of our own file that another one replaces, as a whole or in part. */
function shadowFindings(registries: Registries): Finding[] {
  const own = registries.registries.filter(({ file }) => file === OWN_PATH);
  const findings: Finding[] = [];
  for (const entry of own) {
    const winner = inForce(registries, entry.prefix);
    if (winner !== undefined && isReadAfterOwn(winner.file)) {
      findings.push({
        code: "shadowed",
        severity: "error",
        at: { file: winner.file, line: winner.line },
        what: `this entry for ${entry.prefix} replaces the one in ${OWN_PATH}, because its file is read later`,
        consequence: `pulls from ${entry.prefix} do not use the cache`,
        advice: "remove the entry, or rename the file so that it sorts before 50-entrepot.conf",
      });
    }
    for (const part of narrower(registries, entry.prefix)) {
      findings.push({
        code: "narrower-prefix",
        severity: "note",
        at: { file: part.file, line: part.line },
        what: `names that begin with ${part.prefix}/ follow this entry`,
        consequence: "their pulls do not use the cache",
        advice: "add the cache to its mirrors, if they shall",
      });
    }
  }
  return findings;
}

/** Files by which a user's own tools pull from elsewhere than root's. */
function userFindings(view: FileView, system: Registries): Finding[] {
  const own = system.registries.filter(({ file }) => file === OWN_PATH);
  return homesWithRegistries(view).flatMap((home) =>
    own.flatMap(({ prefix }): Finding[] => {
      const winner = inForce(readRegistries(view, home), prefix);
      if (winner === undefined || winner.file === OWN_PATH) return [];
      return [
        {
          code: "shadowed-for-user",
          severity: "warning",
          at: { file: winner.file, line: winner.line },
          what: `this entry for ${prefix} replaces that of the cache for the user of ${home}`,
          consequence: `rootless pulls of this user from ${prefix} do not use the cache`,
          advice: "remove the entry, or add the cache to its mirrors",
        },
      ];
    }),
  );
}
