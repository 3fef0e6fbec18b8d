import { posix } from "node:path";
import { registryOfDirectory } from "../../../config/containerd/registry-directory.ts";
import type { Finding, Position } from "../../findings.ts";
import type { FileView } from "../../files/node-files.ts";
import { lossyText } from "../../files/node-files.ts";
import { registryDirectories } from "../hosts/hosts-directories.ts";
import { hostOf, readHostsFile } from "../hosts/hosts-file.ts";
import type { RegistryTables } from "../config/registry-tables.ts";
import type { Traits } from "../traits.ts";

/** A mirror that pulls are sent to, and where it is named. */
interface NamedMirror {
  readonly url: string;
  readonly at: Position;
}

const ANSWER_MS = 3_000;

/** Asks every mirror that is named on this node, as containerd would at each pull. */
export async function mirrorFindings(
  view: FileView,
  pattern: RegistryTables,
  traits: Traits,
): Promise<Finding[]> {
  const byUrl = new Map<string, NamedMirror>();
  for (const mirror of [...fromPattern(pattern), ...fromHosts(view, pattern, traits)]) {
    if (!byUrl.has(mirror.url)) byUrl.set(mirror.url, mirror);
  }
  const found = await Promise.all([...byUrl.values()].map((mirror) => ask(mirror, traits)));
  return found.filter((finding) => finding !== undefined);
}

function fromPattern(pattern: RegistryTables): NamedMirror[] {
  return pattern.mirrors.flatMap((mirror) =>
    (mirror.endpoints ?? [])
      .filter((endpoint) => hostOf(endpoint) !== mirror.registry)
      .map((endpoint) => ({
        url: endpoint.includes("://") ? endpoint : `https://${endpoint}`,
        at: { file: mirror.file, line: mirror.line },
      })),
  );
}

function fromHosts(view: FileView, pattern: RegistryTables, traits: Traits): NamedMirror[] {
  if (pattern.kind === "deprecated") return [];
  return pattern.directories.flatMap((root) =>
    registryDirectories(view, root).flatMap((name) => {
      const file = posix.join(root, name, "hosts.toml");
      const state = view.read(file);
      if (state === undefined) return [];
      const { hosts } = readHostsFile(lossyText(state.bytes), posix.dirname(file), traits);
      return hosts
        .filter((host) => hostOf(host.url) !== registryOfDirectory(name))
        .map((host) => ({
          url: host.url.startsWith("http") ? host.url : `https://${host.url}`,
          at: { file, line: host.line ?? 1 },
        }));
    }),
  );
}

async function ask({ url, at }: NamedMirror, traits: Traits): Promise<Finding | undefined> {
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
    advice: "mend the mirror, or take it out",
  });
  let response: Response;
  try {
    const path = /\/v2\/?$/.test(url) || new URL(url).pathname !== "/" ? "/" : "/v2/";
    response = await fetch(url.replace(/\/+$/, "") + path, {
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
      // Whether its certificate is right is containerd's to judge, with its own authorities.
      tls: { rejectUnauthorized: false },
    });
    await response.body?.cancel();
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      const wait = traits.answerTimeout === undefined ? "without end once it accepts, and" : "";
      const consequence = `every request waits for it: ${wait} 30 s where it does not accept (containerd#4861)`;
      return finding(
        "warning",
        "mirror-silent",
        `did not answer within ${ANSWER_MS} ms`,
        consequence,
      );
    }
    const consequence = "a connection that is refused costs no time: the next host is asked";
    return finding("note", "mirror-unreachable", "cannot be reached", consequence);
  }
  const type = response.headers.get("content-type") ?? "";
  if (response.status === 200 && /text\/html/.test(type)) {
    const consequence = "containerd takes a web page for an answer, and the pull fails";
    return finding("error", "mirror-html", "answers with a web page", consequence);
  }
  if (response.status === 429 || response.status === 408) {
    const consequence = "containerd asks it five or six times over, at once, before it goes on";
    return finding("warning", "mirror-limits", `answers ${response.status}`, consequence);
  }
  if (response.status === 401) {
    const consequence =
      "it is sent the pull secrets of other registries, where these name no server (containerd#10996)";
    return finding("note", "mirror-asks-credentials", "asks for credentials (401)", consequence);
  }
  return undefined;
}
