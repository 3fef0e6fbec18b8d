import { mkdir } from "node:fs/promises";
import { type ChildProcess, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";
import type { TokenAuth } from "./token-issuer.ts";
import { until } from "../waiting.ts";

export interface DockerRegistryOptions {
  /** An address of this machine; default 127.0.0.1. */
  readonly host?: string;
  /** A storage folder that outlives the registry; default: a temporary one. */
  readonly storage?: string;
  /** Token authentication, as at Docker Hub: pass `issuer.auth`. */
  readonly auth?: TokenAuth;
  /** Basic authentication: a file of users with passwords hashed by bcrypt, reread when it changes. */
  readonly htpasswd?: string;
  /** Makes the registry itself a pull-through cache of this upstream. */
  readonly proxy?: { readonly remoteurl: string };
  /** PEM files of a certificate and its key: the registry then serves HTTPS. */
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
}

/** A request as the access log records it. */
export interface LoggedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly status: number;
  /** Bytes of the response body. */
  readonly sent: number;
  readonly agent: string;
}

const ACCESS =
  /^\S+ - \S+ \[[^\]]+\] "([A-Z]+) (\S+) HTTP\/[\d.]+" (\d{3}) (\d+) "[^"]*" "([^"]*)"/;
const MARKER = "harness-marker";

/** Debian's docker-registry with its storage on disk; its access log is parsed into `requests`. */
export class DockerRegistry implements AsyncDisposable {
  readonly #options: DockerRegistryOptions;
  readonly #dir: TempDir;
  #process: ChildProcess | undefined;
  #port = 0;
  #requests: LoggedRequest[] = [];
  #marks = 0;
  #lastMark = 0;

  constructor(options: DockerRegistryOptions, dir: TempDir) {
    this.#options = options;
    this.#dir = dir;
  }

  get pid(): number {
    if (!this.#process) throw new Error("docker-registry is not running");
    return this.#process.pid;
  }

  get port(): number {
    return this.#port;
  }

  /** `host:port`, as in an image name. */
  get address(): string {
    return `${this.#options.host ?? "127.0.0.1"}:${this.#port}`;
  }

  get url(): string {
    return `${this.#options.tls ? "https" : "http"}://${this.address}`;
  }

  /** Starts it; after a `stop`, on the same port and storage. */
  async start(): Promise<void> {
    if (this.#process) return;
    const configuration = this.#dir.file("config.yml");
    await Bun.write(configuration, JSON.stringify(this.#configuration())); // YAML includes JSON.
    let port = 0;
    this.#process = await startProcess({
      name: "docker-registry",
      command: ["/usr/bin/docker-registry", "serve", configuration],
      onLine: (line, stream) => {
        if (stream === "stdout") this.#parseLogLine(line);
        port ||= Number(/listening on [^"\s]*:(\d+)/.exec(line)?.[1] ?? 0);
      },
      ready: () => port > 0,
    });
    this.#port = port;
  }

  /** Stops it: connections are refused until `start`. */
  async stop(): Promise<void> {
    await this.#process?.stop("SIGTERM", 2_000);
    this.#process = undefined;
  }

  /**
   * The requests answered since it was created or since `forget`. docker-registry logs a request only
   * after its response, and the log arrives with a delay, so this first sends a marker request and
   * waits for its log line.
   */
  async requests(
    matching: Partial<Pick<LoggedRequest, "method">> & { path?: RegExp } = {},
  ): Promise<LoggedRequest[]> {
    await this.#catchUp();
    const { method, path } = matching;
    return this.#requests.filter(
      (one) => (method === undefined || one.method === method) && (path?.test(one.path) ?? true),
    );
  }

  async forget(): Promise<void> {
    await this.#catchUp();
    this.#requests = [];
  }

  /** The last output, for error messages. */
  output(): string {
    return this.#process?.output() ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#dir[Symbol.asyncDispose]();
  }

  async #catchUp(): Promise<void> {
    if (!this.#process) return;
    const mark = ++this.#marks;
    const response = await fetch(`${this.url}/v2/?${MARKER}=${mark}`, {
      tls: { rejectUnauthorized: false },
    });
    await response.arrayBuffer();
    await until(() => this.#lastMark >= mark, { what: "docker-registry's access log" });
  }

  #parseLogLine(line: string): void {
    const match = ACCESS.exec(line);
    if (!match) return;
    const [, method = "", target = "", status, sent, agent = ""] = match;
    const [path = "", search = ""] = target.split("?", 2);
    const query = new URLSearchParams(search);
    const mark = query.get(MARKER);
    if (mark !== null) this.#lastMark = Math.max(this.#lastMark, Number(mark));
    else
      this.#requests.push({
        method,
        path,
        query,
        status: Number(status),
        sent: Number(sent),
        agent,
      });
  }

  #configuration(): object {
    const { host = "127.0.0.1", storage, auth, htpasswd, proxy, tls } = this.#options;
    return {
      version: "0.1",
      log: { level: "info", accesslog: { disabled: false } },
      storage: {
        filesystem: { rootdirectory: storage ?? this.#dir.file("storage") },
        delete: { enabled: true },
        maintenance: { uploadpurging: { enabled: false } },
      },
      http: {
        addr: `${host}:${this.#port}`,
        secret: "only-for-tests",
        ...(tls ? { tls: { certificate: tls.certificateFile, key: tls.keyFile } } : {}),
      },
      ...(auth ? { auth: { token: auth } } : {}),
      ...(htpasswd === undefined ? {} : { auth: { htpasswd: { realm: "reg", path: htpasswd } } }),
      ...(proxy ? { proxy } : {}),
    };
  }
}

export async function startDockerRegistry(
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const dir = await tempDir("registry");
  await mkdir(options.storage ?? dir.file("storage"), { recursive: true });
  const registry = new DockerRegistry(options, dir);
  try {
    await registry.start();
    return registry;
  } catch (error) {
    await registry[Symbol.asyncDispose]();
    throw error;
  }
}
