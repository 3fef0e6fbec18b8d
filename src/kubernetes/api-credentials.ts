import { readFile } from "node:fs/promises";
import type { ClusterAccess } from "../config/kubernetes-api/kubernetes-settings.ts";
import { type PluginCredentials, type RequestCredentials, runExecPlugin } from "./exec-plugin.ts";
import { KubernetesError } from "./kubernetes-error.ts";

/** A plugin's credentials are renewed this long before they expire, in milliseconds. */
const RENEW_BEFORE_EXPIRY = 30_000;

/** The credentials for one cluster, renewed as they come to their end. */
export class ApiCredentials {
  readonly #access: ClusterAccess;
  #printed: PluginCredentials | undefined;
  #running: Promise<PluginCredentials> | undefined;

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  /** @throws KubernetesError if there are none; the signal's reason */
  async get(signal: AbortSignal): Promise<RequestCredentials> {
    const { credentials, client } = this.#access;
    const identity = client ? { client } : {};
    switch (credentials.kind) {
      case "none":
        return identity;
      case "token":
        return { ...identity, token: credentials.token };
      case "token-file":
        return { ...identity, token: await readToken(credentials.file) };
      case "exec": {
        const printed = this.#printed;
        const isValid = printed && Date.now() < printed.expiresAt - RENEW_BEFORE_EXPIRY;
        const { expiresAt: _, ...fresh } = isValid ? printed : await this.#run();
        signal.throwIfAborted();
        return { ...identity, ...fresh };
      }
    }
  }

  /** They were refused: a plugin is run anew. */
  forget(): void {
    this.#printed = undefined;
  }

  /** Many watches need it at once, and it may ask somebody: it runs once for all. */
  #run(): Promise<PluginCredentials> {
    const { credentials } = this.#access;
    if (credentials.kind !== "exec") throw new TypeError("there is no plugin");
    this.#running ??= runExecPlugin(credentials.plugin, this.#access)
      .then((printed) => (this.#printed = printed))
      .finally(() => (this.#running = undefined));
    return this.#running;
  }
}

async function readToken(file: string): Promise<string> {
  let token: string;
  try {
    token = (await readFile(file, "utf8")).trim();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    const message = `the token for the Kubernetes API cannot be read: ${file} (${code})`;
    throw new KubernetesError("unauthorized", message, { cause });
  }
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new KubernetesError("unauthorized", `${file} contains no token for the Kubernetes API`);
}
