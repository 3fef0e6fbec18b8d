import { dlopen, FFIType, ptr } from "bun:ffi";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const CLOCK_MONOTONIC = 1;
/** The longest `sun_path` (unix(7)), with the NUL that ends the name of a file. */
const MAX_PATH = 108;

/** In milliseconds, and how often: a manager that is restarted reads nothing for a while. */
const RETRY_INTERVAL = 100;
const MAX_RETRIES = 600;
/** In messages. What is newer says more. */
const MAX_WAITING = 16;
/** How many signs of life systemd gets in the time after which it takes the process for hung. */
const SIGNS_OF_LIFE = 4;

const { i32, u64, pointer } = FFIType;

/**
 * Tells the service manager how far this process is (sd_notify(3)). Does nothing if none asks for it:
 * that is systemd with `Type=notify`, or podman with `--sdnotify=container`.
 *
 * Neither Bun nor Node.js has datagram sockets of this kind. `systemd-notify` would be another process,
 * which the unit would have to accept messages from (`NotifyAccess=all`), and which may be gone before
 * systemd has looked up whose it is.
 */
export class ServiceManager {
  readonly #address: Uint8Array | undefined;
  /** What the manager had no room for, in order. */
  #waiting: string[] = [];
  #retries = 0;
  /** After how many milliseconds the manager expects another sign of life, if it does. */
  readonly #patience: number | undefined;
  #isWatched = false;

  /**
   * Takes the socket's name and the watchdog's time out of the environment: no child process speaks
   * for this one.
   *
   * @param failed called if the manager cannot be reached, and will not learn when the start has ended
   */
  constructor(env: Record<string, string | undefined>, failed: (reason: string) => void) {
    const { NOTIFY_SOCKET: name } = env;
    this.#patience = watchdogMilliseconds(env);
    for (const key of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[key];
    if (!name) return;
    const address = socketAddress(name);
    // Nothing is served yet that would have to wait for a manager that is slow to read.
    if (address && send(address, statusLine("starting"), MSG_NOSIGNAL)) this.#address = address;
    else failed(`nothing can be sent to NOTIFY_SOCKET=${name}: the service manager is not told`);
  }

  /** The start, or a reload, has ended. */
  ready(status: string): void {
    this.#send("READY=1", statusLine(status));
    this.#beWatched();
  }

  /**
   * From now on, says at intervals that the event loop goes round. With `WatchdogSec=`, systemd ends and starts anew a
   * process from which it hears nothing: one whose event loop hangs serves nobody, and does not exit.
   */
  #beWatched(): void {
    const address = this.#address;
    if (!address || this.#patience === undefined || this.#isWatched) return;
    this.#isWatched = true;
    // A sign that is lost is made up for by the next one: it does not queue.
    const sign = (): void => void send(address, "WATCHDOG=1", MSG_NOSIGNAL | MSG_DONTWAIT);
    setInterval(sign, this.#patience / SIGNS_OF_LIFE).unref();
  }

  /** A reload begins; `ready` ends it. */
  reloading(): void {
    if (!this.#address) return;
    // By the time, the manager tells this reload from one that ended before it asked for another.
    this.#send("RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`);
  }

  stopping(status: string): void {
    this.#send("STOPPING=1", statusLine(status));
  }

  /** One line that `systemctl status` shows. */
  status(text: string): void {
    this.#send(statusLine(text));
  }

  #send(...lines: readonly string[]): void {
    if (!this.#address) return;
    this.#waiting = [...this.#waiting, lines.join("\n")].slice(-MAX_WAITING);
    if (this.#retries === 0) this.#sendWaiting(this.#address);
  }

  #sendWaiting(address: Uint8Array): void {
    for (const message of this.#waiting) {
      if (!send(address, message, MSG_NOSIGNAL | MSG_DONTWAIT)) break;
      this.#waiting = this.#waiting.slice(1);
      this.#retries = 0;
    }
    if (this.#waiting.length === 0) return;
    this.#retries += 1;
    if (this.#retries <= MAX_RETRIES) {
      setTimeout(() => this.#sendWaiting(address), RETRY_INTERVAL).unref();
      return;
    }
    this.#waiting = [];
    this.#retries = 0;
  }
}

/** sd_watchdog_enabled(3): the time may be meant for another process, such as a shell that started this one. */
function watchdogMilliseconds({
  WATCHDOG_USEC: time = "",
  WATCHDOG_PID: pid,
}: Readonly<Record<string, string | undefined>>): number | undefined {
  const isMeant = pid === undefined || pid === String(process.pid);
  return isMeant && /^[1-9]\d{3,14}$/.test(time) ? Number(time) / 1000 : undefined;
}

/** Returns whether the text was sent. */
function send(address: Uint8Array, text: string, flags: number): boolean {
  const message = Buffer.from(text);
  try {
    const c = libc();
    const socket = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const [data, size] = [ptr(message), BigInt(message.byteLength)];
    const to = [ptr(address), address.byteLength] as const;
    const sent = c.sendto(socket, data, size, flags, ...to);
    c.close(socket);
    return Number(sent) === message.byteLength;
  } catch {
    // There is no glibc.
    return false;
  }
}

/** A line break would begin another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replaceAll(/\s*[\r\n]+\s*/g, "; ")}`;
}

/** `struct sockaddr_un` for a path, or for a name in the abstract namespace, which begins with `@`. */
function socketAddress(name: string): Uint8Array | undefined {
  const isAbstract = name.startsWith("@");
  if (!isAbstract && !name.startsWith("/")) return undefined;
  const path = Buffer.from(isAbstract ? `\0${name.slice(1)}` : `${name}\0`);
  if (path.byteLength > MAX_PATH) return undefined;
  const family = new Uint8Array(new Uint16Array([AF_UNIX]).buffer);
  return Buffer.concat([family, path]);
}

function monotonicMicroseconds(): bigint {
  // Bun's own clocks count from the start of the process.
  const time = new BigInt64Array(2);
  libc().clock_gettime(CLOCK_MONOTONIC, ptr(time));
  const [seconds = 0n, nanoseconds = 0n] = time;
  return seconds * 1_000_000n + nanoseconds / 1000n;
}

function libc() {
  return dlopen("libc.so.6", {
    close: { args: [i32], returns: i32 },
    socket: { args: [i32, i32, i32], returns: i32 },
    sendto: { args: [i32, pointer, u64, i32, pointer, i32], returns: FFIType.i64 },
    clock_gettime: { args: [i32, pointer], returns: i32 },
  }).symbols;
}
