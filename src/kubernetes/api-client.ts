import type { ClusterAccess } from "../config/kubernetes-api/kubernetes-settings.ts";
import { isObject } from "../oci/json-object.ts";
import { printable } from "../printable.ts";
import { ApiCredentials } from "./api-credentials.ts";
import { KubernetesError } from "./kubernetes-error.ts";

/** For the headers of a response, in milliseconds. A list of a busy cluster takes some seconds. */
const HEADERS_TIMEOUT = 20_000;
/** Of a page of a list, or of an error, in characters. */
const MAX_TEXT = 32 * 1024 * 1024;
const MAX_MESSAGE = 300;

export interface ApiClientOptions {
  readonly headersTimeout?: number;
}

/**
 * Reads from a cluster's API over HTTPS. It sends nothing but GET, follows no redirect, since that would
 * get the token, and trusts the cluster's own CA.
 */
export class ApiClient implements Disposable {
  readonly #access: ClusterAccess;
  readonly #credentials: ApiCredentials;
  readonly #headersTimeout: number;
  #session: Bun.FetchSession | undefined;
  /** The client certificate of the session. */
  #certificate: string | undefined;

  constructor(access: ClusterAccess, { headersTimeout = HEADERS_TIMEOUT }: ApiClientOptions = {}) {
    this.#access = access;
    this.#credentials = new ApiCredentials(access);
    this.#headersTimeout = headersTimeout;
  }

  /** For messages. */
  get address(): string {
    return this.#access.server.href.replace(/\/$/, "");
  }

  /**
   * Opens a response, whose body must be read to its end or cancelled.
   *
   * @param path from the server's root, with its query
   * @throws KubernetesError; the signal's reason if the caller aborted
   */
  async open(path: string, signal: AbortSignal): Promise<Response> {
    const response = await this.#send(path, signal);
    if (response.status !== 401) return this.#checked(response, path);
    await response.body?.cancel();
    // A plugin's token may have been revoked, and a file's replaced.
    this.#credentials.forget();
    return this.#checked(await this.#send(path, signal), path);
  }

  /** Reads a response to its end. Throws as `open` does. */
  async read(path: string, signal: AbortSignal): Promise<string> {
    const response = await this.open(path, signal);
    try {
      return await textOf(response);
    } catch (error) {
      throw this.away(error, signal);
    }
  }

  /** What it means that a connection broke. */
  away(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof KubernetesError) return error;
    const message = `the Kubernetes API at ${this.address} cannot be reached: ${reasonOf(error)}`;
    return new KubernetesError("away", message, { cause: error });
  }

  [Symbol.dispose](): void {
    this.#session?.close();
    this.#session = undefined;
  }

  async #send(path: string, signal: AbortSignal): Promise<Response> {
    const { token, client } = await this.#credentials.get(signal);
    const late = new AbortController();
    const timer = setTimeout(() => {
      const seconds = this.#headersTimeout / 1000;
      late.abort(new Error(`it did not answer within ${seconds} s`));
    }, this.#headersTimeout);
    try {
      return await this.#sessionFor(client).fetch(`${this.address}${path}`, {
        redirect: "manual",
        decompress: false,
        signal: AbortSignal.any([signal, late.signal]),
        ...(this.#access.proxy ? { proxy: this.#access.proxy.href } : {}),
        headers: {
          accept: "application/json",
          "accept-encoding": "identity",
          "user-agent": "entrepot",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      });
    } catch (error) {
      throw this.away(late.signal.aborted ? late.signal.reason : error, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The connections belong to a client certificate: another one gets its own. */
  #sessionFor(client: ClusterAccess["client"]): Bun.FetchSession {
    const { ca, serverName, isInsecure } = this.#access;
    if (this.#session && this.#certificate === client?.certificate) return this.#session;
    this.#session?.close();
    this.#certificate = client?.certificate;
    this.#session = new Bun.FetchSession({
      tls: {
        ...(ca === undefined ? {} : { ca }),
        ...(client ? { cert: client.certificate, key: client.key } : {}),
        ...(serverName === undefined ? {} : { serverName }),
        rejectUnauthorized: !isInsecure,
      },
    });
    return this.#session;
  }

  /** @throws KubernetesError unless the status is 200 */
  async #checked(response: Response, path: string): Promise<Response> {
    const { status } = response;
    if (status === 200) return response;
    const text = await textOf(response).catch(() => "");
    const what = path.replace(/\?.*/, "");
    throw statusError(status, `${this.address}${what}`, messageOf(text));
  }
}

/** What a status means, also of an error in the middle of a watch. */
export function statusError(status: number, what: string, message: string): KubernetesError {
  const said = message === "" ? "" : `: ${printable(message).slice(0, MAX_MESSAGE)}`;
  const text = `the Kubernetes API returned ${status} for ${what}${said}`;
  if (status === 410) return new KubernetesError("gone", text);
  if (status === 404) return new KubernetesError("missing", text);
  if (status === 401) {
    return new KubernetesError("unauthorized", `${text}. Renew the credentials of the cache`);
  }
  if (status === 403) {
    const next = "Grant it to list and watch this, as deploy/kubernetes/rbac.yaml does";
    return new KubernetesError("forbidden", `${text}. ${next}`);
  }
  return new KubernetesError("failed", text);
}

/** Of a `Status` object, as which Kubernetes answers with errors. */
function messageOf(text: string): string {
  try {
    const status: unknown = JSON.parse(text);
    return isObject(status) && typeof status["message"] === "string" ? status["message"] : "";
  } catch {
    return "";
  }
}

async function textOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_TEXT) {
      throw new KubernetesError("failed", "the Kubernetes API sent more than 32 MiB in one answer");
    }
  }
  return text;
}

const REASONS: Readonly<Record<string, string>> = {
  ConnectionRefused: "the connection was refused",
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection broke",
  ConnectionClosed: "the connection broke",
  ENOTFOUND: "its name is not known",
  FailedToOpenSocket: "no connection can be opened",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by the CA of the kubeconfig",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not signed by the CA of the kubeconfig",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the CA of the kubeconfig",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is not signed by the CA of the kubeconfig",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  CERT_HAS_EXPIRED: "its certificate has expired",
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return REASONS[code] ?? (error instanceof Error ? printable(error.message) : String(error));
}
