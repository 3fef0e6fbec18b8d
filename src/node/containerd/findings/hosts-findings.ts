import { posix } from "node:path";
import type { HostEntry } from "../../../config/containerd/hosts-toml.ts";
import {
  DEFAULT_DIRECTORY,
  registryOfDirectory,
} from "../../../config/containerd/registry-directory.ts";
import type { Finding } from "../../findings.ts";
import type { FileView } from "../../files/node-files.ts";
import { lossyText } from "../../files/node-files.ts";
import type { CertificateProblem } from "../hosts/certificates.ts";
import { certificateDoubts, certificateProblems } from "../hosts/certificates.ts";
import {
  candidates,
  isNamedByImages,
  looseCertificates,
  registryDirectories,
} from "../hosts/hosts-directories.ts";
import type { HostsDefect, HostsFile } from "../hosts/hosts-file.ts";
import { isFatal, readHostsFile } from "../hosts/hosts-file.ts";
import type { Traits } from "../traits.ts";

/** Findings about one directory of hosts.toml files, for this version of containerd. */
export function hostsFindings(view: FileView, root: string, traits: Traits): Finding[] {
  const names = registryDirectories(view, root);
  return names.flatMap((name) =>
    isNamedByImages(name)
      ? nameFindings(root, name, names, traits).concat(
          directoryFindings(view, posix.join(root, name), names, traits),
        )
      : [unnamedFinding(root, name)],
  );
}

function unnamedFinding(root: string, name: string): Finding {
  return {
    code: "hosts-no-registry",
    severity: "note",
    at: { file: posix.join(root, name) },
    what: `no image reference names a registry ${name}: it has neither a dot nor a port`,
    consequence: "its hosts.toml is never read",
    advice: "rename it to the registry as image references name it, or remove it",
  };
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
      consequence: "its hosts.toml is never read",
      advice: `rename it to ${posix.join(root, "docker.io")}`,
    });
  }
  if (name === DEFAULT_DIRECTORY && !traits.readsDefaultDirectory) {
    findings.push({
      code: "hosts-default-unsupported",
      severity: "error",
      at,
      what: "this containerd does not read _default",
      consequence: "its hosts.toml is never read",
      advice: "update containerd (1.6.17, 1.7.24), or create a directory for each registry",
    });
  }
  const winner = candidates(host, traits).find((candidate) => names.includes(candidate));
  if (winner !== undefined && winner !== name && name !== DEFAULT_DIRECTORY) {
    findings.push({
      code: "hosts-shadowed",
      severity: "error",
      at,
      what: `${posix.join(root, winner)} exists too and takes precedence`,
      consequence: `the hosts.toml in ${name} is never read`,
      advice: "keep only one of the two",
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
      what: `containerd reads hosts.toml, not ${typo}`,
      consequence: "the file has no effect, and containerd does not report it",
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
      what: state === undefined ? "it contains no hosts.toml" : "its hosts.toml is empty",
      consequence: shadows
        ? "it shadows _default: pulls go to the registry directly"
        : "pulls go to the registry directly, and a _default would not apply to it",
      advice: "remove the directory, or write its hosts.toml",
    });
    return findings;
  }
  const file = readHostsFile(lossyText(state.bytes), directory, traits);
  return [
    ...findings,
    ...file.defects.map((defect) => defectFinding(path, defect, traits)),
    ...(file.isRead ? certificateFindings(view, path, file) : []),
    ...(file.isRead ? timeoutFindings(path, file, traits) : []),
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
      ? "containerd logs one error and pulls from the registry directly: it never uses the mirror"
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
      return [`it is not valid TOML: ${defect.message}`, "", "fix this line"];
    case "no-host":
      return [
        "it has a server but no [host], which containerd rejects before 1.7.32",
        "",
        `add a [host."URL"] table, or update containerd`,
      ];
    case "encoding":
      return [
        `it contains ${defect.what}`,
        "this containerd accepts it, but 2.x ignores the file without a message",
        "save it as UTF-8 without a byte order mark",
      ];
    case "unknown-capability":
      return [
        `the capability ${JSON.stringify(defect.capability)} is unknown to this containerd${defect.capability === "referrers" ? " (before 2.2)" : ""}`,
        "",
        "use only pull, resolve and push",
      ];
    case "wrong-type":
      return [
        `${defect.key} must be ${defect.expected}`,
        "this containerd ignores it; newer versions reject the file",
        defect.key === "dial_timeout" ? `use dial_timeout = "1s"` : "fix this line",
      ];
    case "inline-hosts":
      return [
        `hosts in inline tables or dotted keys: ${defect.urls.join(", ")}`,
        traits.dropsInlineHosts
          ? "containerd 2.x drops them without a message"
          : "this containerd reads them, but 2.x drops them without a message",
        `write each one as a [host."URL"] table`,
      ];
    case "server-in-host":
      return [
        `server = ${JSON.stringify(defect.server)} is below [host.${JSON.stringify(defect.url)}]`,
        "it is a key of that table and is ignored: the file has no server",
        "move it above the first [host…] table",
      ];
    case "unknown-key":
      return [
        `the key ${defect.key} is unknown`,
        "containerd ignores it",
        "check the spelling, or remove it",
      ];
    case "key-case":
      return [
        `the key ${defect.key} is in another case than ${defect.documented}`,
        defect.isRead
          ? "this containerd reads it all the same, but not every version does"
          : "containerd ignores it",
        `write ${defect.documented}`,
      ];
    case "no-scheme":
      return [
        `${JSON.stringify(defect.url)} has no scheme`,
        "containerd uses https",
        "prefix it with https:// or http://",
      ];
    case "http-with-tls":
      return [
        `${defect.url} is http but has TLS settings`,
        "this containerd tries HTTPS first (containerd#10014)",
        "use https://, or remove the TLS settings",
      ];
    case "doubled-v2":
      return [
        `${defect.url} has /v2 in the middle of its path`,
        "containerd appends another /v2, so that every request there gets a 404",
        "add override_path = true",
      ];
    case "bare-override":
      return [
        `override_path is set for ${defect.url}, which has no path`,
        "containerd sends requests there without /v2",
        "remove override_path",
      ];
    case "hub-server":
      return [
        `server = ${JSON.stringify(defect.server)} is not a registry`,
        "containerd does not rewrite it to registry-1.docker.io: images that no mirror has cannot be pulled",
        `use server = "https://registry-1.docker.io"`,
      ];
    case "ca-and-skip-verify":
      return [
        `${defect.url} has both ca and skip_verify`,
        "the certificate is not verified, and ca has no effect",
        "remove skip_verify",
      ];
  }
}

/** A certificate that cannot be loaded fails every pull, even if only a mirror uses it. */
function certificateFindings(view: FileView, file: string, hosts: HostsFile): Finding[] {
  const root: HostEntry = { url: hosts.server ?? "the server", line: 1, ...hosts.root };
  return [...hosts.hosts, root].flatMap((host) => {
    const at = { file, line: host.line ?? 1 };
    const what = ({ file: path, problem }: CertificateProblem): string =>
      `${path}, set for ${host.url}, ${problem}`;
    const fatal = certificateProblems(view, host).map((it) => ({
      code: "hosts-certificate",
      severity: "error" as const,
      at,
      what: what(it),
      consequence:
        "every pull of this registry fails, even from a host that does not need the file",
      advice: "put the right file there, or remove the line",
    }));
    const doubtful = certificateDoubts(view, host).map((it) => ({
      code: "hosts-certificate-unsound",
      severity: "warning" as const,
      at,
      what: what(it),
      consequence: `TLS with ${host.url} fails, and containerd tries the next host`,
      advice: "renew the file, or remove the line",
    }));
    return [fatal, doubtful].flat();
  });
}

function timeoutFindings(file: string, hosts: HostsFile, traits: Traits): Finding[] {
  if (!traits.readsDialTimeout) return [];
  // The registry itself is not a mirror: no host comes after it.
  const mirrors = hosts.hosts.filter((host) => host.url !== hosts.server);
  return mirrors
    .filter((host) => host.dialTimeout === undefined)
    .map((host) => ({
      code: "hosts-no-dial-timeout",
      severity: "note" as const,
      at: { file, line: host.line ?? 1 },
      what: `${host.url} has no dial_timeout`,
      consequence: "if it disappears from the network, every request waits 30 s for it",
      advice: `add dial_timeout = "1s"`,
    }));
}
