import { writeFile } from "node:fs/promises";
import { type ChildProcess, startProcess } from "../processes.ts";
import { freePort } from "../free-port.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

export interface TinyproxyOptions {
  /** If present, clients have to authenticate with these credentials. */
  readonly user?: string;
  readonly password?: string;
  /** The port to which CONNECT is allowed; default: all ports. */
  readonly connectPort?: number;
}

/** Debian's tinyproxy, a forward proxy, and the requests that it received. */
export class Tinyproxy implements AsyncDisposable {
  readonly address: string;
  readonly #process: ChildProcess;
  readonly #lines: string[];
  readonly #dir: TempDir;

  constructor(address: string, process: ChildProcess, lines: string[], dir: TempDir) {
    this.address = address;
    this.#process = process;
    this.#lines = lines;
    this.#dir = dir;
  }

  /** The request lines: `CONNECT host:443 HTTP/1.1`. */
  requests(): string[] {
    return this.#lines.flatMap(
      (line) => /Request \(file descriptor \d+\): (.*)$/.exec(line)?.[1] ?? [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
    await this.#dir[Symbol.asyncDispose]();
  }
}

export async function startTinyproxy(options: TinyproxyOptions = {}): Promise<Tinyproxy> {
  const { user, password, connectPort } = options;
  const dir = await tempDir("proxy");
  const port = freePort();
  const configuration = [
    `Port ${port}`,
    "Listen 127.0.0.1",
    "Timeout 60",
    "LogLevel Connect",
    ...(user === undefined ? [] : [`BasicAuth ${user} ${password ?? ""}`]),
    ...(connectPort === undefined ? [] : [`ConnectPort ${connectPort}`]),
  ];
  await writeFile(dir.file("tinyproxy.conf"), `${configuration.join("\n")}\n`);
  const lines: string[] = [];
  const process = await startProcess({
    name: "tinyproxy",
    command: ["/usr/bin/tinyproxy", "-d", "-c", dir.file("tinyproxy.conf")],
    onLine: (line) => lines.push(line),
    ready: () => isOpen(port),
  });
  return new Tinyproxy(`127.0.0.1:${port}`, process, lines, dir);
}

async function isOpen(port: number): Promise<boolean> {
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  socket.end();
  return true;
}
