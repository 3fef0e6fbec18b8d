import path from "node:path";
import { UnreadableError } from "../parsing/read-text.ts";
import { ConfigError, formatProblem, quote } from "../parsing/problems.ts";
import { parseProxy } from "../parsing/proxy.ts";
import { schemaProblems } from "../parsing/schema-problems.ts";
import { type Path, YamlSource } from "../parsing/yaml-source.ts";
import type { Identity } from "../settings.ts";
import { type FileContext, readCaBundle, readIdentity } from "../upstreams/certificates.ts";
import { parseExec } from "./exec-entry.ts";
import { type KubeUser, type Kubeconfig, kubeconfigSchema } from "./kubeconfig-schema.ts";
import type { ClusterAccess, ClusterCredentials } from "../kubernetes-api/kubernetes-settings.ts";

/** Those of large companies have some hundred contexts. */
const MAX_BYTES = 1024 * 1024;
const MAX_SHOWN = 20;

/** Why a kubeconfig cannot be used, for the operator: with the place in the file, where there is one. */
class KubeconfigError extends Error {
  override readonly name = "KubeconfigError";
}

/**
 * Reads how a cluster is reached from a kubeconfig, as kubectl does with one file. Problems are reported.
 *
 * @param at the key of the configuration that names the file
 */
export function readKubeconfig(
  file: string,
  { at, context: wanted }: { readonly at: Path; readonly context: string | undefined },
  context: FileContext,
): ClusterAccess | undefined {
  const name = path.resolve(context.folder, file);
  try {
    return new KubeconfigReader(name, wanted, context).access();
  } catch (error) {
    if (error instanceof UnreadableError) context.report(at, `${name} ${error.message}`, "value");
    else if (error instanceof KubeconfigError) context.report(at, error.message, "value");
    else if (error instanceof ConfigError) {
      const [first] = error.problems;
      context.report(at, first ? formatProblem(first) : error.message, "value");
    } else throw error;
    return undefined;
  }
}

class KubeconfigReader {
  readonly #name: string;
  readonly #wanted: string | undefined;
  readonly #readFile: FileContext["readFile"];
  readonly #source: YamlSource;
  readonly #config: Kubeconfig;

  /** @throws UnreadableError or ConfigError */
  constructor(name: string, wanted: string | undefined, { readFile }: FileContext) {
    this.#name = name;
    this.#wanted = wanted;
    this.#readFile = readFile;
    this.#source = new YamlSource(name, readFile(name, MAX_BYTES));
    const parsed = kubeconfigSchema.safeParse(this.#source.value ?? {});
    if (!parsed.success) {
      throw new ConfigError(schemaProblems(parsed.error.issues, kubeconfigSchema, this.#source));
    }
    this.#config = parsed.data;
  }

  /** @throws KubeconfigError */
  access(): ClusterAccess {
    const { contexts, clusters, users } = this.#config;
    const name = this.#wanted ?? this.#config["current-context"];
    if (name === undefined || name === "") {
      throw this.#at(
        ["current-context"],
        `it has no current-context: set kubernetes.context to ${listOf(contexts)}`,
      );
    }
    const [{ context }] = this.#named("contexts", contexts, name);
    const [{ cluster }, clusterIndex] = this.#named("clusters", clusters, context.cluster);
    const user = context.user ? this.#named("users", users, context.user) : undefined;
    const at = ["clusters", clusterIndex, "cluster"];
    const server = serverUrl(cluster.server);
    if (typeof server === "string") throw this.#at([...at, "server"], server);
    const ca = this.#ca(at, cluster);
    const isInsecure = cluster["insecure-skip-tls-verify"] ?? false;
    if (isInsecure && ca !== undefined) {
      const message = "cannot be set beside a certificate authority: remove one of them";
      throw this.#at([...at, "insecure-skip-tls-verify"], message);
    }
    const proxy = cluster["proxy-url"] ? parseProxy(cluster["proxy-url"]) : undefined;
    if (typeof proxy === "string") throw this.#at([...at, "proxy-url"], `it ${proxy}`);
    const serverName = cluster["tls-server-name"];
    const userAt = ["users", user?.[1] ?? 0, "user"];
    const client = user && this.#client(userAt, user[0].user);
    return {
      server,
      isInsecure,
      ...(ca === undefined ? {} : { ca }),
      ...(serverName ? { serverName } : {}),
      ...(proxy ? { proxy } : {}),
      ...(client ? { client } : {}),
      credentials: user ? this.#credentials(userAt, user[0].user) : { kind: "none" },
    };
  }

  /** As kubectl, the first one of a name counts. */
  #named<Entry extends { readonly name: string }>(
    list: "contexts" | "clusters" | "users",
    entries: readonly Entry[],
    name: string,
  ): readonly [entry: Entry, index: number] {
    const index = entries.findIndex((entry) => entry.name === name);
    const entry = entries[index];
    if (entry) return [entry, index];
    const message = `it has no ${list.slice(0, -1)} ${quote(name)}: it has ${listOf(entries)}`;
    throw this.#at([list], message);
  }

  #ca(at: Path, cluster: Kubeconfig["clusters"][number]["cluster"]): string | undefined {
    const data = cluster["certificate-authority-data"];
    const file = cluster["certificate-authority"];
    if (data) {
      const key = [...at, "certificate-authority-data"];
      return this.#checked((context) => readCaBundle(at, this.#pem(key, data), context), key);
    }
    const key = [...at, "certificate-authority"];
    return file ? this.#checked((context) => readCaBundle(at, file, context), key) : undefined;
  }

  #client(at: Path, user: KubeUser): Identity | undefined {
    const [certificate, key] = (["client-certificate", "client-key"] as const).map((name) => {
      const data = user[`${name}-data`];
      const file = user[name];
      return data
        ? { at: [...at, `${name}-data`], text: this.#pem([...at, `${name}-data`], data) }
        : file
          ? { at: [...at, name], file }
          : undefined;
    });
    if (!certificate && !key) return undefined;
    if (!certificate || !key) {
      throw this.#at(at, "needs both client-certificate and client-key, or neither");
    }
    return this.#checked((context) => {
      // Text is read as if it were the file that it would be in.
      const texts = new Map<string, string>();
      const fileOf = (one: typeof certificate): string => {
        if (one.file !== undefined) return one.file;
        const name = String(one.at.at(-1));
        texts.set(path.resolve(context.folder, name), one.text);
        return name;
      };
      const files = [certificate, key].map((one) => ({ at: one.at, file: fileOf(one) }));
      const [first, second] = files;
      if (!first || !second) return undefined;
      const readFile: FileContext["readFile"] = (name, limit) =>
        texts.get(name) ?? context.readFile(name, limit);
      return readIdentity(first, second, { ...context, readFile });
    }, at);
  }

  #credentials(at: Path, user: KubeUser): ClusterCredentials {
    const folder = path.dirname(this.#name);
    for (const key of ["username", "password", "auth-provider", "as"] as const) {
      if (user[key] === undefined) continue;
      const what = `${key} is not supported: use a token, a client certificate or an exec plugin`;
      throw this.#at([...at, key], what);
    }
    // As in kubectl, the file wins, since its token may be replaced.
    if (user.tokenFile) return { kind: "token-file", file: path.resolve(folder, user.tokenFile) };
    if (user.token) {
      if (/^[\x21-\x7e]+$/.test(user.token)) return { kind: "token", token: user.token };
      throw this.#at([...at, "token"], "has characters that no token has");
    }
    if (!user.exec) return { kind: "none" };
    const plugin = parseExec(user.exec, folder);
    if (typeof plugin === "string") throw this.#at([...at, "exec"], plugin);
    return { kind: "exec", plugin };
  }

  /** Runs a reader of certificates, whose problems are of this file. */
  #checked<Value>(read: (context: FileContext) => Value | undefined, at: Path): Value | undefined {
    let error: KubeconfigError | undefined;
    const value = read({
      folder: path.dirname(this.#name),
      readFile: this.#readFile,
      report: (where, message) => (error ??= this.#at(where, message)),
    });
    if (error) throw error;
    if (value === undefined) throw this.#at(at, "cannot be read");
    return value;
  }

  #pem(at: Path, data: string): string {
    const text = Buffer.from(data, "base64").toString("utf8");
    if (text.includes("-----BEGIN")) return text;
    throw this.#at(at, "is not PEM text in base64");
  }

  #at(at: Path, message: string): KubeconfigError {
    return new KubeconfigError(formatProblem(this.#source.problem(at, `${keyOf(at)}${message}`)));
  }
}

/** The last key, for a message about its value. */
function keyOf(at: Path): string {
  const key = at.at(-1);
  return typeof key === "string" && at.length > 1 ? `${key} ` : "";
}

function listOf(entries: readonly { readonly name: string }[]): string {
  if (entries.length === 0) return "none";
  const names = entries.slice(0, MAX_SHOWN).map(({ name }) => quote(name));
  return names.join(", ") + (entries.length > MAX_SHOWN ? " and more" : "");
}

function serverUrl(text: string): URL | string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `https://${text}`);
  if (!url || !/^https?:$/.test(url.protocol)) {
    return `${quote(text)} is not the address of a cluster: write https://host:port`;
  }
  if (url.username || url.password || url.search || url.hash) {
    return "has more than a host, a port and a path";
  }
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}
