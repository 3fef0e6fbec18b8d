import { type Socket, createConnection } from "node:net";
import { codeOf, type NodeFiles } from "../files/node-files.ts";
import { type DbusMessage, DbusFormatError, decodeMessage, encodeCall } from "./dbus-message.ts";

/** systemd's own socket, for root alone; D-Bus without a bus daemon. `systemctl` uses it too. */
const SOCKET = "/run/systemd/private";
const MANAGER_PATH = "/org/freedesktop/systemd1";
const MANAGER = "org.freedesktop.systemd1.Manager";
const UNIT = "org.freedesktop.systemd1.Unit";
const SERVICE = "org.freedesktop.systemd1.Service";
const PROPERTIES = "org.freedesktop.DBus.Properties";
const CALL_MS = 10_000;
const JOB_MS = 120_000;
const MAX_GREETING_BYTES = 1024;

/** systemd cannot be asked, or did not do what it was asked for. */
export class SystemdFault extends Error {
  override readonly name = "SystemdFault";
}

/** A unit as systemd has it loaded, which is as of the last daemon-reload. */
export interface LoadedUnit {
  /** `loaded`, `not-found`, `masked`, … */
  readonly loadState: string;
  /** `active`, `inactive`, `failed`, … */
  readonly activeState: string;
  /** The unit's file. */
  readonly file: string;
  readonly killMode: string;
}

/**
 * Where the systemd of a node is asked whose root is mounted. Undefined if its socket is not mounted. In a
 * container this needs neither the host's PID namespace nor any capability, only root's user ID.
 */
export function systemdSocket(files: NodeFiles): string | undefined {
  const isThere = files.list("/run/systemd")?.includes("private") ?? false;
  return isThere ? files.resolve(SOCKET) : undefined;
}

/** @throws SystemdFault */
export async function withSystemd<T>(
  socket: string,
  use: (systemd: SystemdBus) => Promise<T>,
): Promise<T> {
  const systemd = await SystemdBus.open(socket);
  try {
    return await use(systemd);
  } finally {
    systemd.close();
  }
}

/** The manager of a systemd, over its own socket. */
export class SystemdBus {
  readonly #socket: Socket;
  readonly #listeners = new Set<(message: DbusMessage) => void>();
  #received: Uint8Array = new Uint8Array();
  #serial = 0;
  #failure: SystemdFault | undefined;
  readonly #closed = Promise.withResolvers<never>();

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    // Nobody may be waiting when it ends.
    this.#closed.promise.catch(() => {});
    const fail = (reason: string): void => {
      this.#failure ??= new SystemdFault(`systemd at ${path} ${reason}`);
      this.#closed.reject(this.#failure);
    };
    socket.on("error", (error) => {
      fail(codeOf(error) === "EACCES" ? "admits only root" : `cannot be asked: ${error.message}`);
    });
    socket.on("close", () => fail("ended the connection"));
  }

  static async open(path: string): Promise<SystemdBus> {
    const socket = createConnection({ path });
    const bus = new SystemdBus(socket, path);
    try {
      await bus.#within(CALL_MS, "an answer", bus.#authenticate());
      socket.on("data", (bytes: Uint8Array) => bus.#receive(bytes));
    } catch (error) {
      bus.close();
      throw error;
    }
    return bus;
  }

  /** How systemd has a unit loaded. */
  async unit(name: string): Promise<LoadedUnit> {
    // Unlike GetUnit, it also knows of units that do not run.
    const path = await this.#manager("LoadUnit", name);
    const property = (type: string, key: string): Promise<string> =>
      this.#call({ path, interface: PROPERTIES, member: "Get", args: [type, key] });
    const loadState = await property(UNIT, "LoadState");
    const activeState = await property(UNIT, "ActiveState");
    const file = await property(UNIT, "FragmentPath");
    // A unit without a file has no properties of a service either.
    const killMode = loadState === "loaded" ? await property(SERVICE, "KillMode") : "";
    return { loadState, activeState, file, killMode };
  }

  /** Restarts a unit, and returns when it runs again. */
  restart(name: string): Promise<void> {
    return this.#job("RestartUnit", name);
  }

  /** Has a unit load its files again, as its ExecReload= says. */
  reload(name: string): Promise<void> {
    return this.#job("ReloadUnit", name);
  }

  close(): void {
    this.#socket.destroy();
  }

  /**
   * The reply to EXTERNAL is about the user ID that the kernel tells systemd of this process. BEGIN is sent
   * with it, as systemctl does: what systemd reads together with BEGIN waits until more arrives, which must
   * not be the first call.
   */
  async #authenticate(): Promise<void> {
    const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
    const greeted = Promise.withResolvers<string>();
    let text = "";
    const onData = (bytes: Uint8Array): void => {
      text += new TextDecoder("latin1").decode(bytes);
      if (text.includes("\r\n") || text.length > MAX_GREETING_BYTES) greeted.resolve(text);
    };
    this.#socket.on("data", onData);
    this.#socket.write(`\0AUTH EXTERNAL ${uid}\r\nBEGIN\r\n`);
    const reply = await greeted.promise;
    this.#socket.off("data", onData);
    if (!reply.startsWith("OK "))
      throw new SystemdFault(`systemd refuses this user: ${reply.trim()}`);
  }

  #receive(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    try {
      for (;;) {
        const next = decodeMessage(this.#received);
        if (next === undefined) return;
        this.#received = this.#received.subarray(next.length);
        for (const listener of this.#listeners) listener(next.message);
      }
    } catch (error) {
      if (!(error instanceof DbusFormatError)) throw error;
      this.#failure = new SystemdFault(`systemd cannot be understood: ${error.message}`);
      this.#socket.destroy();
    }
  }

  async #job(member: "RestartUnit" | "ReloadUnit", name: string): Promise<void> {
    const results = new Map<string, string>();
    const removed = Promise.withResolvers<void>();
    let job: string | undefined;
    // The job may be done before the reply that names it is read.
    const listener = ({ type, member: signal, values }: DbusMessage): void => {
      if (type !== "signal" || signal !== "JobRemoved") return;
      const [, path, , result] = values;
      results.set(String(path), String(result));
      if (path === job) removed.resolve();
    };
    this.#listeners.add(listener);
    try {
      job = await this.#manager(member, name, "replace");
      if (!results.has(job)) await this.#within(JOB_MS, `${name} to be done`, removed.promise);
      const result = results.get(job);
      if (result === "done") return;
      const { activeState } = await this.unit(name);
      const what = `systemd's ${member} of ${name} ended with "${result}", and it is ${activeState}`;
      throw new SystemdFault(`${what}: journalctl -u ${name} on the node says why`);
    } finally {
      this.#listeners.delete(listener);
    }
  }

  #manager(member: string, ...args: readonly string[]): Promise<string> {
    return this.#call({ path: MANAGER_PATH, interface: MANAGER, member, args });
  }

  /** The first value of the reply. */
  async #call(call: Parameters<typeof encodeCall>[0]): Promise<string> {
    const serial = ++this.#serial;
    const replied = Promise.withResolvers<DbusMessage>();
    const listener = (message: DbusMessage): void => {
      if (message.replyTo === serial) replied.resolve(message);
    };
    this.#listeners.add(listener);
    try {
      this.#socket.write(encodeCall(call, serial));
      const { type, error, values } = await this.#within(
        CALL_MS,
        `an answer to ${call.member}`,
        replied.promise,
      );
      if (type === "return") return String(values[0] ?? "");
      throw new SystemdFault(`systemd refuses ${call.member}: ${values[0] ?? error}`);
    } finally {
      this.#listeners.delete(listener);
    }
  }

  async #within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new SystemdFault(`systemd did not give ${what} within ${ms / 1000} s`));
    }, ms);
    try {
      return await Promise.race([promise, this.#closed.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
