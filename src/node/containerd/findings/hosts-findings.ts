import { posix } from "node:path";
import type { HostEntry } from "../../../config/containerd/hosts-toml.ts";
import {
  DEFAULT_DIRECTORY,
  registryOfDirectory,
} from "../../../config/containerd/registry-directory.ts";
import type { Finding } from "../../findings.ts";
import type { FileView } from "../../files/node-files.ts";
import { lossyText } from "../../files/node-files.ts";
import { tlsFiles } from "../hosts/merge-hosts.ts";
import { candidates, looseCertificates, registryDirectories } from "../hosts/hosts-directories.ts";
import type { HostsDefect, HostsFile } from "../hosts/hosts-file.ts";
import { isFatal, readHostsFile } from "../hosts/hosts-file.ts";
import { isCertificate } from "../hosts/plan-hosts.ts";
import type { Traits } from "../traits.ts";

/** What is wrong in one directory of hosts.toml files, for containerd of this version. */
export function hostsFindings(view: FileView, root: string, traits: Traits): Finding[] {
  const names = registryDirectories(view, root);
  return names.flatMap((name) =>
    nameFindings(root, name, names, traits).concat(
      directoryFindings(view, posix.join(root, name), names, traits),
    ),
  );
}

function nameFindings(
  root: string,
  name: string,
  names: readonly string[],
  traits: Traits,
): Finding[] {
  const at = { file: posix.join(root, name) };
  const host = registryOfDirectory(name);
  const findings: Finding[] = [];
  if (host === "registry-1.docker.io" || host === "index.docker.io") {
    findings.push({
      code: "hosts-hub-name",
      severity: "error",
      at,
      what: `the directory ${name} matches no image: Docker Hub's name is docker.io`,
      consequence: "what stands in it is never read",
      advice: `rename it to ${posix.join(root, "docker.io")}`,
    });
  }
  if (name === DEFAULT_DIRECTORY && !traits.readsDefaultDirectory) {
    findings.push({
      code: "hosts-default-unread",
      severity: "error",
      at,
      what: "this containerd does not look at _default",
      consequence: "what stands in it is never read",
      advice: "update containerd (1.6.17, 1.7.24), or make a directory for each registry",
    });
  }
  const winner = candidates(host, traits).find((candidate) => names.includes(candidate));
  if (winner !== undefined && winner !== name && name !== DEFAULT_DIRECTORY) {
    findings.push({
      code: "hosts-shadowed",
      severity: "error",
      at,
      what: `${posix.join(root, winner)} is there too and comes first`,
      consequence: `what stands in ${name} is never read`,
      advice: "keep one of the two",
    });
  }
  return findings;
}

function directoryFindings(
  view: FileView,
  directory: string,
  names: readonly string[],
  traits: Traits,
): Finding[] {
  const path = posix.join(directory, "hosts.toml");
  const state = view.read(path);
  const findings: Finding[] = [];
  const inside = view.list(directory) ?? [];
  const typo = inside.find(
    (name) => /^(?:host|hosts)\.(?:toml|tml|conf|yaml)$/i.test(name) && name !== "hosts.toml",
  );
  if (typo !== undefined) {
    findings.push({
      code: "hosts-misnamed",
      severity: "error",
      at: { file: posix.join(directory, typo) },
      what: `containerd reads hosts.toml and never ${typo}`,
      consequence: "what stands in it has no effect, and nothing says so",
      advice: `rename it to ${path}`,
    });
  }
  if (state === undefined || state.bytes.length === 0) {
    const { ca, client } = looseCertificates(view, directory);
    if (ca.length > 0 || client.length > 0) return findings;
    const shadows =
      names.includes(DEFAULT_DIRECTORY) && !directory.endsWith(`/${DEFAULT_DIRECTORY}`);
    findings.push({
      code: "hosts-empty-directory",
      severity: shadows ? "error" : "warning",
      at: { file: directory },
      what: state === undefined ? "there is no hosts.toml in it" : "its hosts.toml is empty",
      consequence: shadows
        ? "it shadows _default: this registry is asked directly"
        : "this registry is asked directly, and a _default would not count for it",
      advice: "take the directory away, or write its hosts.toml",
    });
    return findings;
  }
  const file = readHostsFile(lossyText(state.bytes), directory, traits);
  return [
    ...findings,
    ...file.defects.map((defect) => defectFinding(path, defect, traits)),
    ...(file.isRead ? certificateFindings(view, path, file) : []),
    ...(file.isRead ? timeFindings(path, file, traits) : []),
  ];
}

function defectFinding(file: string, defect: HostsDefect, traits: Traits): Finding {
  const column = defect.kind === "syntax" ? { column: defect.column } : {};
  const [what, consequence, advice] = describe(defect, traits);
  const isError =
    isFatal(defect, traits) ||
    defect.kind === "server-in-host" ||
    defect.kind === "doubled-v2" ||
    defect.kind === "hub-server" ||
    (defect.kind === "inline-hosts" && traits.dropsInlineHosts);
  return {
    code: `hosts-${defect.kind}`,
    severity: isError ? "error" : "warning",
    at: { file, line: defect.line, ...column },
    what,
    consequence: isFatal(defect, traits)
      ? "containerd logs one error and asks the registry itself: the mirror is never asked"
      : consequence,
    advice,
  };
}

function describe(
  defect: HostsDefect,
  traits: Traits,
): [what: string, consequence: string, advice: string] {
  switch (defect.kind) {
    case "syntax":
      return [`it is no TOML: ${defect.message}`, "", "mend this line"];
    case "no-host":
      return [
        "it has a server and no [host]: this containerd refuses that (before 1.7.32)",
        "",
        `add a [host."URL"] table, or update containerd`,
      ];
    case "odd-bytes":
      return [
        `there is ${defect.what} in it`,
        "it is read until containerd is updated to 2.x, which goes past the file in silence",
        "save it as UTF-8 without a byte order mark",
      ];
    case "unknown-capability":
      return [
        `the capability ${JSON.stringify(defect.capability)} is unknown to this containerd${defect.capability === "referrers" ? " (before 2.2)" : ""}`,
        "",
        `write pull, resolve and push alone`,
      ];
    case "wrong-type":
      return [
        `${defect.key} has to be ${defect.expected}`,
        "this containerd ignores it; a newer one refuses the file",
        defect.key === "dial_timeout" ? `write dial_timeout = "1s"` : "mend this line",
      ];
    case "inline-hosts":
      return [
        `hosts in inline or dotted form: ${defect.urls.join(", ")}`,
        traits.dropsInlineHosts
          ? "containerd 2.x drops them without a word"
          : "they work until containerd is updated to 2.x, which drops them without a word",
        `write each as a [host."URL"] table`,
      ];
    case "server-in-host":
      return [
        `server = ${JSON.stringify(defect.server)} stands below [host.${JSON.stringify(defect.url)}]`,
        "it belongs to that table and is ignored: the file has no server",
        "move it above the first [host…]",
      ];
    case "unknown-key":
      return [
        `the key ${defect.key} is unknown`,
        "containerd ignores it",
        "is it a typing mistake?",
      ];
    case "no-scheme":
      return [
        `${JSON.stringify(defect.url)} has no scheme`,
        "it is taken as https",
        `write https:// or http:// before it`,
      ];
    case "http-with-tls":
      return [
        `${defect.url} is http and has TLS settings`,
        "this containerd tries HTTPS first (containerd#10014)",
        "write https://, or take the TLS settings away",
      ];
    case "doubled-v2":
      return [
        `${defect.url} has /v2 within its path`,
        "/v2 is appended once more: every request is a 404 there",
        "add override_path = true",
      ];
    case "bare-override":
      return [
        `override_path on ${defect.url}, which has no path`,
        "requests go there without /v2",
        "take override_path away",
      ];
    case "hub-server":
      return [
        `server = ${JSON.stringify(defect.server)} is no registry`,
        "it is not rewritten to registry-1.docker.io: what the mirrors lack cannot be pulled",
        `write server = "https://registry-1.docker.io"`,
      ];
    case "ca-and-skip-verify":
      return [
        `${defect.url} has a ca and skip_verify`,
        "nothing is verified; the ca has no effect",
        "take skip_verify away",
      ];
  }
}

/** A certificate that cannot be read fails every pull, even where only a mirror has it. */
function certificateFindings(view: FileView, file: string, hosts: HostsFile): Finding[] {
  const root: HostEntry = { url: hosts.server ?? "the server", line: 1, ...hosts.root };
  return [...hosts.hosts, root].flatMap((host) =>
    tlsFiles(host)
      .filter((path) => !isCertificate(view, path))
      .map((path) => ({
        code: "hosts-certificate",
        severity: "error" as const,
        at: { file, line: host.line ?? 1 },
        what: `${path}, named for ${host.url}, ${view.read(path) === undefined ? "does not exist" : "holds no certificate or key"}`,
        consequence: "every pull of this registry fails, whichever host would serve it",
        advice: "put the file there, or take the line out",
      })),
  );
}

function timeFindings(file: string, hosts: HostsFile, traits: Traits): Finding[] {
  if (!traits.readsDialTimeout) return [];
  // The registry itself is no mirror: nothing comes after it.
  const mirrors = hosts.hosts.filter((host) => host.url !== hosts.server);
  return mirrors
    .filter((host) => host.dialTimeout === undefined)
    .map((host) => ({
      code: "hosts-no-dial-timeout",
      severity: "note" as const,
      at: { file, line: host.line ?? 1 },
      what: `${host.url} has no dial_timeout`,
      consequence: "where it vanishes from the network, every request waits 30 s for it",
      advice: `add dial_timeout = "1s"`,
    }));
}
