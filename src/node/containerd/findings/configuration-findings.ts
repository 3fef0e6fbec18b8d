import { posix } from "node:path";
import type { Finding } from "../../findings.ts";
import type { FileView } from "../../files/node-files.ts";
import type { Defect } from "../config/configuration-files.ts";
import { keyText } from "../config/key-case.ts";
import type { Configuration } from "../config/configuration.ts";
import { registryDirectories } from "../hosts/hosts-directories.ts";
import type { Mirror, RegistryTables } from "../config/registry-tables.ts";
import type { ContainerdVersion, Traits } from "../traits.ts";

const CONVERT = "run entrepot node plan --cache URL to see the conversion to hosts directories";

/** Findings about config.toml and the files that it imports. */
export function configurationFindings(
  view: FileView,
  configuration: Configuration,
  tables: RegistryTables,
  traits: Traits,
  version: ContainerdVersion,
): Finding[] {
  return [
    ...configuration.defects.map((defect) => defectFinding(defect, traits, version)),
    ...conflictFindings(tables, traits, version),
    ...colonFindings(view, configuration, tables, traits),
    ...unusedFindings(view, configuration, tables, traits),
    ...tables.mirrors.flatMap(mirrorFindings),
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
        what: `it is not valid TOML: ${defect.message}`,
        consequence: "containerd will not start",
        advice: "fix this line",
      };
    case "encoding":
      return {
        code: "config-encoding",
        severity: traits.acceptsBadEncoding ? "warning" : "error",
        at,
        what: `it contains ${defect.what}`,
        consequence: traits.acceptsBadEncoding
          ? "this containerd accepts it, but 2.x will not start"
          : "containerd will not start",
        advice: "save it as UTF-8 without a byte order mark",
      };
    case "import-missing":
      return {
        code: "config-import-missing",
        severity: "error",
        at,
        what: `it imports ${defect.target}, which does not exist`,
        consequence: "containerd will not start",
        advice: "create the file, or remove it from imports",
      };
    case "version-too-new":
      return {
        code: "config-version-too-new",
        severity: "error",
        at,
        what: `version = ${defect.version} is newer than containerd ${version.text} supports`,
        consequence: traits.exitsOnNewerConfig
          ? "the daemon exits at its next start"
          : "the daemon starts and ignores the settings without a message",
        advice: "use version = 2, the only one that works from 1.6 to 2.3",
      };
    case "table-replaced":
      return {
        code: "import-replaces-table",
        severity: "error",
        at,
        what: `it replaces the whole table plugins."${defect.table}" of ${defect.by} (containerd#5837)`,
        consequence: `these settings are lost: ${defect.lost.join(", ")}`,
        advice: `move its settings to ${defect.by}: before 2.0, imports are not merged`,
      };
    case "import-too-new":
      return {
        code: "import-version",
        severity: "error",
        at,
        what: `it has version = ${defect.version} and is imported by a file of version ${defect.root}`,
        consequence: traits.exitsOnNewerImport
          ? "the daemon exits at its next start"
          : "the CRI settings of the importing file are lost without a message",
        advice: `use version = ${defect.root} with that version's table names, or omit version`,
      };
    case "cri-disabled":
      return {
        code: "config-cri-disabled",
        severity: "error",
        at,
        what: `disabled_plugins contains ${defect.plugin}, as Docker's packages install it`,
        consequence: "containerd runs without CRI: no pod can start on this node",
        advice: `remove ${defect.plugin} from the list and restart containerd`,
      };
    case "table-ignored":
      return {
        code: "config-table-ignored",
        severity: "error",
        at,
        what: `containerd ${version.text} does not read registry settings in plugins."${defect.table}" here`,
        consequence: "they have no effect, and containerd does not report it",
        advice: defect.lacksVersion
          ? "add version = 2 as the first line of the file (containerd#5236)"
          : `move them to plugins."${defect.reads}".registry`,
      };
    case "key-case":
      return {
        code: "config-key-case",
        severity: "warning",
        at,
        what: `the key ${keyText(defect.path)} is in another case than ${keyText(defect.documented)}`,
        consequence: defect.isRead
          ? `containerd ${version.text} reads it all the same, but not every version does`
          : `containerd ${version.text} ignores it${traits.foldsKeys ? "" : ", and 2.x reads it"}`,
        advice: `write ${keyText(defect.documented)}, or remove it`,
      };
  }
}

function conflictFindings(
  tables: RegistryTables,
  traits: Traits,
  version: ContainerdVersion,
): Finding[] {
  const findings: Finding[] = [];
  const { configPath, mirrors, tls } = tables;
  const first = mirrors[0] ?? tls[0];
  const at = first && { file: first.file, line: first.line };
  const isFatal = mirrors.length > 0 || !traits.dropsConfigsTls;
  if (tables.kind === "both" && at && configPath) {
    const key = mirrors.length > 0 ? "mirrors" : "configs.*.tls";
    findings.push({
      code: isFatal ? "config-path-conflict" : "config-tls-dropped",
      severity: "error",
      at,
      what: `${key} and config_path are both set (${configPath.file}:${configPath.line})`,
      consequence: isFatal
        ? "CRI does not start with both, while the daemon looks healthy (containerd#7844)"
        : "the TLS settings have no effect: containerd 2.x ignores the key",
      advice: CONVERT,
    });
  }
  if (tables.kind === "deprecated" && at) {
    findings.push({
      code: traits.breaksOnMirrors ? "config-mirrors-break" : "config-deprecated",
      severity: traits.breaksOnMirrors ? "error" : "warning",
      at,
      what: `${mirrors.length > 0 ? "mirrors" : "configs.*.tls"} in config.toml is deprecated since containerd 1.5`,
      consequence: traits.breaksOnMirrors
        ? `CRI of containerd ${version.text} does not start with it (containerd#12612)`
        : "every change needs a restart, and a later release will remove it",
      advice: CONVERT,
    });
  }
  if (tables.kind === "deprecated" && traits.dropsConfigsTls && tls[0]) {
    findings.push({
      code: "config-tls-dropped",
      severity: "error",
      at: { file: tls[0].file, line: tls[0].line },
      what: "configs.*.tls is an unknown key in containerd 2.x",
      consequence: "certificates and insecure_skip_verify are ignored, with a warning in the log",
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
  // The default of 2.2 and newer, on a node without any hosts.toml, does no harm.
  const isUnused =
    configPath === undefined &&
    directories.every((directory) => registryDirectories(view, directory).length === 0);
  return [
    {
      code: "config-path-colon",
      severity: isUnused ? "note" : isBroken ? "error" : "warning",
      ...(configPath ? { at: { file: configPath.file, line: configPath.line } } : {}),
      what: `config_path names several directories (${directories.join(":")})`,
      consequence: isBroken
        ? "containerd does not split the list: it reads no hosts.toml and does not report it (containerd#12808)"
        : "it works only with the local pull of containerd up to 2.0, not with the transfer service (containerd#12808)",
      advice: "name one directory; entrepot node apply merges them into one",
    },
  ];
}

/** Files that were written for containerd, and that it does not read. */
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
      what: `hosts directories exist (such as ${first}), but config_path is not set`,
      consequence:
        "CRI does not read them. nerdctl and ctr --hosts-dir do, so their pulls prove nothing",
      advice: "run entrepot node plan --cache URL to see how to set config_path",
    });
  }
  const read = new Set(configuration.files.map((file) => file.path));
  const dropIns = posix.join(folder, "conf.d");
  const unused = (view.list(dropIns) ?? []).filter(
    (name) => name.endsWith(".toml") && !read.has(posix.join(dropIns, name)),
  );
  const hasDefect = configuration.defects.some((defect) => defect.file.startsWith(dropIns));
  if (unused.length > 0 && !hasDefect) {
    findings.push({
      code: "import-unused",
      severity: "warning",
      at: { file: posix.join(dropIns, unused[0] ?? "") },
      what: `no file imports it${unused.length > 1 ? ` (nor ${unused.slice(1).join(", ")})` : ""}`,
      consequence: "its settings have no effect, even if `containerd config dump` shows imports",
      advice: traits.importsReplaceTables
        ? `move its settings to ${configuration.main} (before 2.0, an import replaces whole tables), or remove the file`
        : `add imports = ["${dropIns}/*.toml"] to ${configuration.main}, or remove the file`,
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
        "a mirror of one registry gets the requests for all: it may respond with another registry's image",
      advice: CONVERT,
    });
  }
  if (mirror.registry === "registry-1.docker.io" || mirror.registry === "index.docker.io") {
    findings.push({
      code: "config-hub-name",
      severity: "error",
      at,
      what: `mirrors."${mirror.registry}" matches no image: Docker Hub's name is docker.io`,
      consequence: "containerd never uses the mirror",
      advice: `use mirrors."docker.io"`,
    });
  }
  return findings;
}
