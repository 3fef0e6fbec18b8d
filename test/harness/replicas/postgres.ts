import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { createHash } from "node:crypto";
import { SQL } from "bun";
import { withLock } from "../../../scripts/components/apt.mjs";
import { postgresBin } from "../../../scripts/components/debian.mjs";
import { freePort } from "../free-port.ts";
import { type ChildProcess, mustRun, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

/** PostgreSQL refuses to run as root. */
const USER = "postgres";
const PASSWORD = "postgres-test-password";
const TEMPLATES = new URL("../../../.cache/postgres/", import.meta.url).pathname;

/** Nothing in a test has to survive a power cut. */
const SETTINGS = `
fsync = off
full_page_writes = off
autovacuum = off
shared_buffers = 32MB
max_connections = 80
max_wal_size = 64MB
min_wal_size = 4MB
restart_after_crash = on
log_line_prefix = '[%p] %a '
`;

export interface PostgresOptions {
  /** A folder for the data, such as a small disk; default: a temporary one. */
  readonly folder?: string;
  /** PEM files of a certificate and its key: clients may then use TLS. */
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
}

/** Debian's PostgreSQL with a data directory of its own, which starts from a copy in 0.2 s. */
export class Postgres implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #data: string;
  readonly port: number = freePort();
  #process: ChildProcess | undefined;
  #databases = 0;

  constructor(dir: TempDir, folder: string) {
    this.#dir = dir;
    this.#data = `${folder}/data`;
  }

  /** The password is part of it. */
  url(database = "postgres"): string {
    return `postgres://${USER}:${PASSWORD}@127.0.0.1:${this.port}/${database}`;
  }

  /** The URL of an empty database. */
  async database(): Promise<string> {
    this.#databases += 1;
    const name = `test_${this.#databases}`;
    await this.query(`create database ${name}`);
    return this.url(name);
  }

  /** Runs statements as an operator would, over a connection of their own. */
  async query<Row = Record<string, unknown>>(text: string, url = this.url()): Promise<Row[]> {
    await using sql = new SQL({ url, max: 1 });
    // The caller says what it selects.
    return (await sql.unsafe(text)) as Row[];
  }

  /** Makes the data directory, and starts. */
  async create({ tls }: PostgresOptions): Promise<void> {
    await mustRun(["cp", "-a", "--reflink=auto", await template(), this.#data]);
    let settings = "";
    if (tls) {
      // The key may be read by its owner alone.
      await mustRun(["install", "-m", "600", "-o", USER, tls.keyFile, `${this.#data}/server.key`]);
      await mustRun(["install", "-o", USER, tls.certificateFile, `${this.#data}/server.crt`]);
      settings = "ssl = on\n";
    }
    await writeFile(`${this.#data}/postgresql.auto.conf`, settings);
    await this.start();
  }

  /** Starts it; after a `stop`, on the same port and data. */
  async start(): Promise<void> {
    const socket = ["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"];
    const server = [
      `${postgresBin}/postgres`,
      "-D",
      this.#data,
      "-p",
      String(this.port),
      ...socket,
    ];
    let isReady = false;
    this.#process = await startProcess({
      name: "postgres",
      command: [...asUser(), ...server],
      // It writes to where it may, if that is not the data directory.
      cwd: this.#data,
      env: { LC_ALL: "C.UTF-8" },
      onLine: (line) => {
        isReady ||= line.includes("database system is ready to accept connections");
      },
      ready: () => isReady,
    });
  }

  /** What the server has written lately. */
  log(): string {
    return this.#process?.output() ?? "";
  }

  /** Stops it as an operator would: `SIGINT` ends its connections, `SIGQUIT` ends it without a checkpoint. */
  async stop(how: "SIGINT" | "SIGQUIT" = "SIGINT"): Promise<void> {
    await this.#process?.stop(how);
    this.#process = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Stops all of its processes in mid-work: it accepts connections, and never answers. */
  async freeze(): Promise<void> {
    const server = this.#pid();
    // The server first: it would start others.
    process.kill(server, "SIGSTOP");
    for (const pid of await childrenOf(server)) process.kill(pid, "SIGSTOP");
  }

  async thaw(): Promise<void> {
    const server = this.#pid();
    for (const pid of await childrenOf(server)) process.kill(pid, "SIGCONT");
    process.kill(server, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stop("SIGKILL");
    await this.#dir[Symbol.asyncDispose]();
  }

  #pid(): number {
    if (!this.#process) throw new Error("postgres is not running");
    return this.#process.pid;
  }
}

/** Starts a PostgreSQL of its own. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const dir = await tempDir("pg");
  // It has to be entered by the server's user.
  await chmod(dir.path, 0o755);
  const postgres = new Postgres(dir, options.folder ?? dir.path);
  try {
    await postgres.create(options);
    return postgres;
  } catch (error) {
    await postgres[Symbol.asyncDispose]();
    throw error;
  }
}

/** A data directory that was never started: making one takes some seconds. */
async function template(): Promise<string> {
  const name = createHash("sha256").update(`${postgresBin}${PASSWORD}${SETTINGS}`).digest("hex");
  const folder = `${TEMPLATES}${name.slice(0, 16)}`;
  const exists = async () => (await stat(folder).catch(() => undefined)) !== undefined;
  if (await exists()) return folder;
  await withLock("postgres", async () => {
    if (!(await exists())) await makeTemplate(folder);
  });
  return folder;
}

async function makeTemplate(folder: string): Promise<void> {
  await mkdir(TEMPLATES, { recursive: true });
  await using dir = await tempDir("initdb");
  const user = await passwdEntry(USER);
  await chown(dir.path, user.uid, user.gid);
  const passwordFile = dir.file("password");
  await writeFile(passwordFile, PASSWORD);
  await chown(passwordFile, user.uid, user.gid);
  const data = dir.file("data");
  const options = ["-U", USER, "-A", "scram-sha-256", `--pwfile=${passwordFile}`, "--no-sync"];
  // Small WAL segments: each data directory begins with one.
  const size = ["-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=1"];
  await mustRun([...asUser(), `${postgresBin}/initdb`, "-D", data, ...options, ...size], {
    cwd: dir.path,
  });
  const file = `${data}/postgresql.conf`;
  await writeFile(file, (await readFile(file, "utf8")) + SETTINGS);
  const partial = `${folder}.tmp-${process.pid}`;
  await mustRun(["cp", "-a", data, partial]);
  await rename(partial, folder).catch(async (error: unknown) => {
    await rm(partial, { recursive: true, force: true });
    throw error;
  });
}

/** The signal is set again after the change of the user, which clears it. */
function asUser(): string[] {
  const ids = [`--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--pdeathsig=KILL"];
  return ["/usr/bin/setpriv", ...ids, "--"];
}

async function passwdEntry(name: string): Promise<{ uid: number; gid: number }> {
  const line = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}

async function childrenOf(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const text = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    // The name, in parentheses, may have spaces.
    if (Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]) === pid)
      children.push(Number(entry));
  }
  return children;
}
