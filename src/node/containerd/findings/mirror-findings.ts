import { posix } from "node:path";
import { rootCertificates } from "node:tls";
import { secondsText } from "../../../oci/seconds-text.ts";
import { registryOfDirectory } from "../../../config/containerd/registry-directory.ts";
import type { Finding, Position } from "../../findings.ts";
import type { FileView } from "../../files/node-files.ts";
import { codeOf, lossyText } from "../../files/node-files.ts";
import { registryDirectories } from "../hosts/hosts-directories.ts";
import { hostOf, readHostsFile } from "../hosts/hosts-file.ts";
import type { RegistryTables } from "../config/registry-tables.ts";
import type { Traits } from "../traits.ts";

/** A mirror that containerd uses, and where it is configured. */
interface ConfiguredMirror {
  readonly url: string;
  readonly at: Position;
  /** PEM of the CAs that its hosts.toml names, if its certificate is verified. */
  readonly ca: readonly string[] | undefined;
}

const TIMEOUT_MS = 3_000;

/** Sends one request to every mirror that is configured on this node, as containerd does at each pull. */
export async function mirrorFindings(
  view: FileView,
  tables: RegistryTables,
  traits: Traits,
): Promise<Finding[]> {
  const byUrl = new Map<string, ConfiguredMirror>();
  for (const mirror of [...fromTables(tables), ...fromHosts(view, tables, traits)]) {
    if (!byUrl.has(mirror.url)) byUrl.set(mirror.url, mirror);
  }
  const found = await Promise.all([...byUrl.values()].map((mirror) => ping(view, mirror, traits)));
  return found.filter((finding) => finding !== undefined);
}

function fromTables(tables: RegistryTables): ConfiguredMirror[] {
  return tables.mirrors.flatMap((mirror) =>
    (mirror.endpoints ?? [])
      .filter((endpoint) => hostOf(endpoint) !== mirror.registry)
      .map((endpoint) => ({
        url: endpoint.includes("://") ? endpoint : `https://${endpoint}`,
        at: { file: mirror.file, line: mirror.line },
        ca: undefined,
      })),
  );
}

function fromHosts(view: FileView, tables: RegistryTables, traits: Traits): ConfiguredMirror[] {
  if (tables.kind === "deprecated") return [];
  return tables.directories.flatMap((root) =>
    registryDirectories(view, root).flatMap((name) => {
      const file = posix.join(root, name, "hosts.toml");
      const state = view.read(file);
      if (state === undefined) return [];
      const { hosts } = readHostsFile(lossyText(state.bytes), posix.dirname(file), traits);
      return hosts
        .filter((host) => hostOf(host.url) !== registryOfDirectory(name))
        .map((host) => {
          const ca = host.skipVerify ? undefined : host.ca?.flatMap((path) => pemOf(view, path));
          return {
            url: host.url.startsWith("http") ? host.url : `https://${host.url}`,
            at: { file, line: host.line ?? 1 },
            ca: ca && ca.length > 0 ? ca : undefined,
          };
        });
    }),
  );
}

const SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";

function pemOf(view: FileView, path: string): string[] {
  const state = view.read(path);
  return state ? [lossyText(state.bytes)] : [];
}

async function ping(
  view: FileView,
  { url, at, ca }: ConfiguredMirror,
  traits: Traits,
): Promise<Finding | undefined> {
  const finding = (
    severity: Finding["severity"],
    code: string,
    what: string,
    consequence: string,
  ): Finding => ({
    code,
    severity,
    at,
    what: `${url} ${what}`,
    consequence,
    advice: "fix the mirror, or remove it",
  });
  let response: Response;
  try {
    const path = /\/v2\/?$/.test(url) || new URL(url).pathname !== "/" ? "/" : "/v2/";
    response = await fetch(url.replace(/\/+$/, "") + path, {
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      // containerd adds the CAs of hosts.toml to the system's, which this program does not know for sure.
      tls: ca
        ? { ca: [...ca, ...pemOf(view, SYSTEM_CERTIFICATES), ...rootCertificates] }
        : { rejectUnauthorized: false },
    });
    await response.body?.cancel();
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      const wait =
        traits.responseTimeout === undefined
          ? "30 s if it does not accept the connection, and without limit if it does"
          : "30 s";
      const consequence = `every request waits for it: ${wait} (containerd#4861)`;
      const what = `did not respond within ${secondsText(TIMEOUT_MS / 1000)}`;
      return finding("warning", "mirror-timeout", what, consequence);
    }
    const code = codeOf(error) ?? "";
    if (ca && /CERT|SIGNED|VERIFY|ISSUER/.test(code)) {
      return finding(
        "warning",
        "mirror-tls",
        `has a certificate that does not verify with the CA in its hosts.toml (${code})`,
        "containerd does not use it, and tries the next host",
      );
    }
    const consequence = "a refused connection costs no time: containerd tries the next host";
    return finding("note", "mirror-unreachable", "cannot be reached", consequence);
  }
  const type = response.headers.get("content-type") ?? "";
  if (response.status === 200 && /text\/html/.test(type)) {
    const consequence =
      "containerd takes the HTML page for a registry's response, and the pull fails";
    return finding("error", "mirror-html", "responds with an HTML page", consequence);
  }
  if (response.status === 429 || response.status === 408) {
    const consequence =
      "containerd retries it 5 or 6 times without back-off before it tries the next host";
    return finding(
      "warning",
      "mirror-rate-limited",
      `responds with ${response.status}`,
      consequence,
    );
  }
  if (response.status === 401) {
    const consequence =
      "containerd sends it the pull secrets of other registries if these name no server (containerd#10996)";
    return finding(
      "note",
      "mirror-requests-credentials",
      "requests credentials (401)",
      consequence,
    );
  }
  return undefined;
}
