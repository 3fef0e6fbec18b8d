import { mkdir } from "node:fs/promises";
import { type ChildProcess, startProcess } from "./processes.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";
import type { TokenAuth } from "./token-issuer.ts";
import { until } from "./waiting.ts";

export interface DockerRegistryOptions {
  /** An address of this machine; 127.0.0.1 where nothing is said. */
  readonly host?: string;
  /** A folder that outlives it; one of its own where nothing is said. */
  readonly storage?: string;
  /** Tokens are asked for, as Docker Hub does: `issuer.auth`. */
  readonly auth?: TokenAuth;
  /** The registry is a pull-through cache of this address itself. */
  readonly proxy?: { readonly remoteurl: string };
  /** Files of a certificate and its key: it then speaks https. */
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
}

/** A request as the access log tells it. */
export interface LoggedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly status: number;
  /** Of the body, in bytes. */
  readonly sent: number;
  readonly agent: string;
}

const ACCESS =
  /^\S+ - \S+ \[[^\]]+\] "([A-Z]+) (\S+) HTTP\/[\d.]+" (\d{3}) (\d+) "[^"]*" "([^"]*)"/;
const MARKER = "harness-marker";

/** Debian's docker-registry with its storage on disk, and its access log counted. */
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
    if (!this.#process) throw new Error("docker-registry does not run");
    return this.#process.pid;
  }

  get port(): number {
    return this.#port;
  }

  /** `host:port`, as it stands in an image's name. */
  get address(): string {
    return `${this.#options.host ?? "127.0.0.1"}:${this.#port}`;
  }

  get url(): string {
    return `${this.#options.tls ? "https" : "http"}://${this.address}`;
  }

  /** Starts it: on the same port and storage where it ran before. */
  async start(): Promise<void> {
    if (this.#process) return;
    const configuration = this.#dir.file("config.yml");
    await Bun.write(configuration, JSON.stringify(this.#configuration())); // YAML includes JSON.
    let port = 0;
    this.#process = await startProcess({
      name: "docker-registry",
      command: ["/usr/bin/docker-registry", "serve", configuration],
      onLine: (line, stream) => {
        if (stream === "stdout") this.#take(line);
        port ||= Number(/listening on [^"\s]*:(\d+)/.exec(line)?.[1] ?? 0);
      },
      ready: () => port > 0,
    });
    this.#port = port;
  }

  /** Stops it, so that connections are refused until `start`. */
  async stop(): Promise<void> {
    await this.#process?.stop("SIGTERM", 2_000);
    this.#process = undefined;
  }

  /**
   * Requests that it has answered since it was made or since `forget`. It logs a request only once
   * it is answered, and the log takes a moment to come here: a request of our own is waited for.
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

  /** The last output, for an error's text. */
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

  #take(line: string): void {
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
    const { host = "127.0.0.1", storage, auth, proxy, tls } = this.#options;
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
