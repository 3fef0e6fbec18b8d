import { posix } from "node:path";
import type { Finding } from "../../findings.ts";
import type { FileView } from "../../files/node-files.ts";
import type { Defect } from "../config/configuration-files.ts";
import type { Configuration } from "../config/configuration.ts";
import { registryDirectories } from "../hosts/hosts-directories.ts";
import type { Mirror, RegistryTables } from "../config/registry-tables.ts";
import type { ContainerdVersion, Traits } from "../traits.ts";

const CONVERT = "entrepot node plan --cache URL shows the conversion to hosts directories";

/** What is wrong in config.toml and what it imports. */
export function configurationFindings(
  view: FileView,
  configuration: Configuration,
  pattern: RegistryTables,
  traits: Traits,
  version: ContainerdVersion,
): Finding[] {
  return [
    ...configuration.defects.map((defect) => defectFinding(defect, traits, version)),
    ...patternFindings(pattern, traits, version),
    ...colonFindings(view, configuration, pattern, traits),
    ...unusedFindings(view, configuration, pattern, traits),
    ...pattern.mirrors.flatMap(mirrorFindings),
  ];
}

function defectFinding(defect: Defect, traits: Traits, version: ContainerdVersion): Finding {
  const at = { file: defect.file, line: defect.line };
  switch (defect.kind) {
    case "syntax":
      return {
        code: "config-syntax",
        severity: "error",
        at: { ...at, column: defect.column },
        what: `it is no TOML: ${defect.message}`,
        consequence: "containerd will not start with it",
        advice: "mend this line",
      };
    case "odd-bytes":
      return {
        code: "config-odd-bytes",
        severity: traits.readsOddBytes ? "warning" : "error",
        at,
        what: `there is ${defect.what} in it`,
        consequence: traits.readsOddBytes
          ? "it is read until containerd is updated to 2.x, which will not start with it"
          : "containerd will not start with it",
        advice: "save it as UTF-8 without a byte order mark",
      };
    case "import-missing":
      return {
        code: "config-import-missing",
        severity: "error",
        at,
        what: `it imports ${defect.target}, which does not exist`,
        consequence: "containerd will not start",
        advice: "put the file there, or take it out of imports",
      };
    case "version-too-new":
      return {
        code: "config-version-too-new",
        severity: "error",
        at,
        what: `version = ${defect.version} is newer than containerd ${version.text} reads`,
        consequence: traits.exitsOnNewerConfig
          ? "the daemon exits at its next start"
          : "the daemon starts and ignores the settings without a word",
        advice: "write version = 2, the one form that works from 1.6 to 2.3",
      };
    case "table-replaced":
      return {
        code: "import-replaces-table",
        severity: "error",
        at,
        what: `it replaces all of plugins."${defect.table}" of ${defect.by} (containerd#5837)`,
        consequence: `lost: ${defect.lost.join(", ")}`,
        advice: `move its settings into ${defect.by}: before 2.0 an import does not merge`,
      };
    case "import-too-new":
      return {
        code: "import-version",
        severity: "error",
        at,
        what: `it has version = ${defect.version} and is imported by a file of version ${defect.root}`,
        consequence: traits.exitsOnNewerImport
          ? "the daemon exits at its next start"
          : "the CRI settings of the importing file are lost without a word",
        advice: `give it version = ${defect.root} with that version's table names, or leave version out`,
      };
    case "cri-disabled":
      return {
        code: "config-cri-disabled",
        severity: "error",
        at,
        what: `disabled_plugins names ${defect.plugin}, as Docker's own packages have it`,
        consequence: "containerd runs without CRI: no pod can start on this node",
        advice: `take ${defect.plugin} out of the list and restart containerd`,
      };
    case "table-ignored":
      return {
        code: "config-table-ignored",
        severity: "error",
        at,
        what: `registry settings in plugins."${defect.table}" are not read by containerd ${version.text} here`,
        consequence: "they have no effect, and nothing says so",
        advice: `write them into plugins."${defect.reads}".registry`,
      };
  }
}

function patternFindings(
  pattern: RegistryTables,
  traits: Traits,
  version: ContainerdVersion,
): Finding[] {
  const findings: Finding[] = [];
  const { configPath, mirrors, tls } = pattern;
  const first = mirrors[0] ?? tls[0];
  const old = first && { file: first.file, line: first.line };
  const hasFatal = mirrors.length > 0 || !traits.dropsConfigsTls;
  if (pattern.kind === "both" && old && configPath) {
    const key = mirrors.length > 0 ? "mirrors" : "configs.*.tls";
    findings.push({
      code: hasFatal ? "config-both-patterns" : "config-tls-dropped",
      severity: "error",
      at: old,
      what: `${key} stands beside config_path (${configPath.file}:${configPath.line})`,
      consequence: hasFatal
        ? "CRI does not start with both, while the daemon looks healthy (containerd#7844)"
        : "the TLS settings are dropped: containerd 2.x ignores the key",
      advice: CONVERT,
    });
  }
  if (pattern.kind === "deprecated" && old) {
    findings.push({
      code: traits.breaksOnMirrors ? "config-mirrors-break" : "config-deprecated",
      severity: traits.breaksOnMirrors ? "error" : "warning",
      at: old,
      what: `${mirrors.length > 0 ? "mirrors" : "configs.*.tls"} in config.toml is deprecated since containerd 1.5`,
      consequence: traits.breaksOnMirrors
        ? `CRI of containerd ${version.text} does not start with it (containerd#12612)`
        : "every change needs a restart, and a coming release drops it",
      advice: CONVERT,
    });
  }
  if (pattern.kind === "deprecated" && traits.dropsConfigsTls && tls[0]) {
    findings.push({
      code: "config-tls-dropped",
      severity: "error",
      at: { file: tls[0].file, line: tls[0].line },
      what: "configs.*.tls is an unknown key for containerd 2.x",
      consequence: "certificates and insecure_skip_verify are dropped, with a warning in the log",
      advice: CONVERT,
    });
  }
  return findings;
}

function colonFindings(
  view: FileView,
  configuration: Configuration,
  { kind, directories, configPath }: RegistryTables,
  traits: Traits,
): Finding[] {
  if (directories.length < 2 || kind === "deprecated") return [];
  const isBroken = traits.colonPathBroken && !configuration.pullsLocally;
  // The default of 2.2 and newer, on a node where nobody has written a hosts.toml: nothing is lost.
  const isIdle =
    configPath === undefined &&
    directories.every((directory) => registryDirectories(view, directory).length === 0);
  return [
    {
      code: "config-path-colon",
      severity: isIdle ? "note" : isBroken ? "error" : "warning",
      ...(configPath ? { at: { file: configPath.file, line: configPath.line } } : {}),
      what: `config_path names several directories (${directories.join(":")})`,
      consequence: isBroken
        ? "containerd passes the list on unsplit: no hosts.toml is read, and nothing says so (containerd#12808)"
        : "it is read as long as containerd pulls as before 2.1, and not at all after (containerd#12808)",
      advice: "name one directory; entrepot node apply brings both together",
    },
  ];
}

/** What somebody has written for containerd, and containerd never looks at. */
function unusedFindings(
  view: FileView,
  configuration: Configuration,
  { directories, kind }: RegistryTables,
  traits: Traits,
): Finding[] {
  const folder = posix.dirname(configuration.main);
  const findings: Finding[] = [];
  const certs = posix.join(folder, "certs.d");
  const [first] = registryDirectories(view, certs);
  if (first !== undefined && (kind === "deprecated" || directories.length === 0)) {
    findings.push({
      code: "hosts-not-in-force",
      severity: "warning",
      at: { file: certs },
      what: `there are hosts directories (${first}), and config_path is not set`,
      consequence: "CRI reads none of them; nerdctl and ctr --hosts-dir do, and prove nothing",
      advice: "entrepot node plan --cache URL shows how config_path is set",
    });
  }
  const read = new Set(configuration.files.map((file) => file.path));
  const parts = posix.join(folder, "conf.d");
  const unused = (view.list(parts) ?? []).filter(
    (name) => name.endsWith(".toml") && !read.has(posix.join(parts, name)),
  );
  if (unused.length > 0 && !configuration.defects.some((defect) => defect.file.startsWith(parts))) {
    findings.push({
      code: "import-unused",
      severity: "warning",
      at: { file: posix.join(parts, unused[0] ?? "") },
      what: `nothing imports it${unused.length > 1 ? ` (nor ${unused.slice(1).join(", ")})` : ""}`,
      consequence:
        "its settings have no effect, whatever `containerd config dump` shows of imports",
      advice: traits.importsReplaceTables
        ? `move its settings into ${configuration.main} (before 2.0 an import replaces whole tables), or take it away`
        : `write imports = ["${parts}/*.toml"] into ${configuration.main}, or take it away`,
    });
  }
  return findings;
}

function mirrorFindings(mirror: Mirror): Finding[] {
  const at = { file: mirror.file, line: mirror.line };
  const findings: Finding[] = [];
  if (mirror.registry === "*" && (mirror.endpoints ?? []).length > 0) {
    findings.push({
      code: "config-wildcard",
      severity: "warning",
      at,
      what: `mirrors."*" sends every registry to ${(mirror.endpoints ?? []).join(", ")}`,
      consequence:
        "what mirrors one registry is asked for the images of all: it may answer with another's",
      advice: CONVERT,
    });
  }
  if (mirror.registry === "registry-1.docker.io" || mirror.registry === "index.docker.io") {
    findings.push({
      code: "config-hub-name",
      severity: "error",
      at,
      what: `mirrors."${mirror.registry}" matches no image: Docker Hub's name is docker.io`,
      consequence: "the mirror is never asked",
      advice: `write mirrors."docker.io"`,
    });
  }
  return findings;
}
