import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { peakMemory, residentMemory, type ChildProcess, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";
import { until } from "../waiting.ts";

export interface EntrepotOptions {
  /** entrepot.yaml as an object. */
  readonly config?: object;
  /** A data directory that outlives the process; default: a temporary one. */
  readonly data?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The directory in which the process is started. */
  readonly cwd?: string;
  /** Additional arguments of `serve`. */
  readonly args?: readonly string[];
  /** The command to run instead of bin/entrepot, such as the single executable. */
  readonly program?: readonly string[];
  /** A fixed address, for a restart on the same port; default: a port that the system chooses. */
  readonly listen?: string;
  readonly admin?: string;
}

/** A line of the JSON log. */
export type LogLine = Readonly<Record<string, unknown>>;

interface Listening {
  readonly listen: string;
  readonly admin: string;
  readonly ports: Readonly<Record<string, string>>;
}

const PROGRAM = fileURLToPath(new URL("../../../bin/entrepot", import.meta.url));
const MAX_LOG_LINES = 20_000;

/** The cache as a real process, with a configuration file and a data directory. */
export class Entrepot implements AsyncDisposable {
  readonly data: string;
  readonly configFile: string;
  readonly #process: ChildProcess;
  readonly #logs: LogLine[];
  readonly #listening: Listening;
  readonly #dir: TempDir;
  readonly #scheme: "http" | "https";

  constructor(
    started: { process: ChildProcess; logs: LogLine[]; listening: Listening },
    paths: { data: string; configFile: string; dir: TempDir; scheme: "http" | "https" },
  ) {
    this.#process = started.process;
    this.#logs = started.logs;
    this.#listening = started.listening;
    this.data = paths.data;
    this.configFile = paths.configFile;
    this.#dir = paths.dir;
    this.#scheme = paths.scheme;
  }

  /** `host:port` of the node-facing listener. */
  get address(): string {
    return this.#listening.listen;
  }

  get url(): string {
    return `${this.#scheme}://${this.#listening.listen}`;
  }

  get adminAddress(): string {
    return this.#listening.admin;
  }

  get adminUrl(): string {
    return `http://${this.#listening.admin}`;
  }

  /**
   * The URL of an upstream's own port.
   * @throws Error if the process reported no such port
   */
  portUrl(upstream: string): string {
    const address = this.#listening.ports[upstream];
    if (address === undefined) throw new Error(`entrepot reported no port for ${upstream}`);
    return `${this.#scheme}://${address}`;
  }

  /** The PID of the process that serves, even if a launcher is its parent. */
  get pid(): number {
    const pid = this.#logs.find((line) => line["msg"] === "listening")?.["pid"];
    return typeof pid === "number" ? pid : this.#process.pid;
  }

  /** `undefined` while the process runs. */
  get exitCode(): number | undefined {
    return this.#process.exitCode;
  }

  /** All log lines so far; of the lines about requests, at least the last 10,000. */
  logs(): readonly LogLine[] {
    return this.#logs;
  }

  /** Waits up to `within` ms for a log line with this message. */
  logged(msg: string, within = 30_000): Promise<LogLine> {
    const what = `the log line ${JSON.stringify(msg)}`;
    return until(() => this.#logs.find((line) => line["msg"] === msg), { what, within });
  }

  /** The last raw output, for error messages. */
  output(): string {
    return this.#process.output();
  }

  get(path: string, init: BunFetchRequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.url), { redirect: "manual", ...init });
  }

  head(path: string, init: BunFetchRequestInit = {}): Promise<Response> {
    return this.get(path, { ...init, method: "HEAD" });
  }

  getAdmin(path: string, init: BunFetchRequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.adminUrl), { redirect: "manual", ...init });
  }

  /** Replaces the configuration file, which the process reloads without a restart. */
  async reconfigure(config: object): Promise<void> {
    await writeFile(this.configFile, stringify(config));
  }

  /** The peak resident memory so far, in bytes. */
  peakMemory(): number {
    return peakMemory(this.pid);
  }

  residentMemory(): number {
    return residentMemory(this.pid);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /**
   * Stops the process; its data stays until disposal. Resolves with the exit code, 137 after
   * SIGKILL.
   */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    // A graceful shutdown is promised to take at most 20 s.
    return this.#process.stop(signal, 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#dir[Symbol.asyncDispose]();
  }
}

export async function startEntrepot(options: EntrepotOptions = {}): Promise<Entrepot> {
  const dir = await tempDir("product");
  const data = options.data ?? dir.file("data");
  const configFile = dir.file("entrepot.yaml");
  const logs: LogLine[] = [];
  let listening: Listening | undefined;
  const { listen = "127.0.0.1:0", admin = "127.0.0.1:0", args = [] } = options;
  const flags = ["--config", configFile, "--data", data, "--listen", listen, "--admin", admin];
  const serve = ["serve", ...flags, ...args];
  try {
    await writeFile(configFile, stringify(options.config ?? {}));
    const process = await startProcess({
      name: "entrepot",
      command: [...(options.program ?? [PROGRAM]), ...serve],
      ...(options.env ? { env: options.env } : {}),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      onLine: (text) => {
        const line = parseLine(text);
        if (!line) return;
        logs.push(line);
        if (logs.length > MAX_LOG_LINES) {
          // Thousands of requests must not displace the few lines about anything else.
          const older = logs.splice(0, MAX_LOG_LINES / 2);
          logs.unshift(...older.filter(({ msg }) => msg !== "request"));
        }
        if (line["msg"] === "listening") listening ??= readListening(line);
      },
      ready: () => listening,
    });
    if (!listening) throw new Error("entrepot is ready but reported no addresses");
    const scheme = "tls" in (options.config ?? {}) ? "https" : "http";
    return new Entrepot({ process, logs, listening }, { data, configFile, dir, scheme });
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}

/** The settings of an upstream that runs on this machine. */
export function localUpstream(url: string): { url: string; allowPrivate: true } {
  return { url, allowPrivate: true };
}

function parseLine(text: string): LogLine | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    // Any JSON object is a record with string keys.
    return typeof value === "object" && value !== null ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
}

function readListening(line: LogLine): Listening {
  const { listen, admin, ports } = line;
  if (typeof listen !== "string" || typeof admin !== "string")
    throw new Error(`entrepot's log line "listening" has no addresses: ${JSON.stringify(line)}`);
  const isRecord = typeof ports === "object" && ports !== null;
  const pairs = isRecord ? Object.entries(ports).map(([name, at]) => [name, String(at)]) : [];
  return { listen, admin, ports: Object.fromEntries(pairs) };
}
