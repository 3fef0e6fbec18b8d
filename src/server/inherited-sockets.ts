import { dlopen, FFIType, ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A listening socket that systemd opened and holds. */
export interface InheritedSocket {
  readonly descriptor: number;
  readonly port: number;
}

/** What was handed over cannot be used. */
export class InheritedSocketError extends Error {
  override readonly name = "InheritedSocketError";
}

/** sd_listen_fds(3): the first descriptor that is handed over. */
const FIRST = 3;
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2_000_000;
const EPOLL_CTL_ADD = 1;

const { i32, pointer } = FFIType;

function libc() {
  return dlopen("libc.so.6", {
    getsockname: { args: [i32, pointer, pointer], returns: i32 },
    getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
    fcntl: { args: [i32, i32, i32], returns: i32 },
    dup3: { args: [i32, i32, i32], returns: i32 },
    close: { args: [i32], returns: i32 },
    epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
  }).symbols;
}
type Libc = ReturnType<typeof libc>;

/**
 * The sockets of a systemd socket unit, if one started this process (sd_listen_fds(3)). The
 * variables that say so are taken away, so that no program that is started here believes them.
 *
 * @throws InheritedSocketError
 */
export function takeInheritedSockets(
  env: Record<string, string | undefined>,
  pid: number,
): InheritedSocket[] {
  const { LISTEN_PID, LISTEN_FDS } = env;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  const count = Number(LISTEN_FDS ?? 0);
  if (Number(LISTEN_PID) !== pid || !Number.isInteger(count) || count < 1) return [];
  const c = libc();
  return Array.from({ length: count }, (_, index) => {
    const descriptor = FIRST + index;
    const port = listeningPort(c, descriptor);
    if (port !== undefined) return { descriptor, port };
    throw new InheritedSocketError(
      `systemd handed over descriptor ${descriptor}, which is no listening TCP socket: write ListenStream=PORT, and not Accept=yes`,
    );
  });
}

/**
 * Lets a server answer at an inherited socket in place of its own.
 *
 * Bun has no way to listen at a socket that is open (oven-sh/bun#22559). But the descriptor of a
 * server can be made to mean another socket, and be told to epoll anew with what it was told
 * before, which the kernel shows under /proc. Each step is checked, and nothing goes on with half.
 *
 * @param server listens at a port of 127.0.0.1 that nobody was told of
 * @throws InheritedSocketError
 */
export function adoptSocket(server: Bun.Server<undefined>, { descriptor }: InheritedSocket): void {
  const c = libc();
  const own = openDescriptors("socket:").find((each) => listeningPort(c, each) === server.port);
  const watch = own === undefined ? undefined : watchOf(own);
  if (own === undefined || !watch) throw refused("the server's own socket was not found");
  // Bun accepts until there is nobody left, and would wait there for ever.
  const isReady =
    c.fcntl(descriptor, F_SETFL, O_NONBLOCK) === 0 && c.dup3(descriptor, own, O_CLOEXEC) === own;
  if (!isReady) throw refused("it cannot be put in the place of the server's own");
  if (c.epoll_ctl(watch.epoll, EPOLL_CTL_ADD, own, ptr(watch.event)) !== 0) {
    throw refused("it cannot be waited for");
  }
  c.close(descriptor);
}

function refused(why: string): InheritedSocketError {
  return new InheritedSocketError(
    `the socket that systemd handed over cannot be used here (${why}): disable entrepot.socket, and the cache opens its ports itself`,
  );
}

/** The port of a listening TCP socket; undefined for anything else. */
function listeningPort(c: Libc, descriptor: number): number | undefined {
  const address = new Uint8Array(128);
  const size = new Uint32Array([address.byteLength]);
  const isListening = new Uint32Array(1);
  const four = new Uint32Array([4]);
  const asked = c.getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, ptr(isListening), ptr(four));
  if (asked !== 0 || isListening[0] !== 1) return undefined;
  if (c.getsockname(descriptor, ptr(address), ptr(size)) !== 0) return undefined;
  const view = new DataView(address.buffer);
  const family = view.getUint16(0, true);
  // AF_INET and AF_INET6, which both have the port in network order behind the family.
  return family === 2 || family === 10 ? view.getUint16(2) : undefined;
}

/** The epoll that waits for a descriptor, and what it was told: `struct epoll_event`. */
function watchOf(own: number): { epoll: number; event: Uint8Array } | undefined {
  for (const epoll of openDescriptors("anon_inode:[eventpoll]")) {
    const entries = readFileSync(`/proc/self/fdinfo/${epoll}`, "utf8").matchAll(
      /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)/gm,
    );
    for (const [, descriptor, events, data] of entries) {
      if (Number(descriptor) !== own) continue;
      const event = new Uint8Array(16);
      const view = new DataView(event.buffer);
      view.setUint32(0, Number.parseInt(events ?? "", 16), true);
      // The structure is packed on x86-64 alone.
      view.setBigUint64(process.arch === "x64" ? 4 : 8, BigInt(`0x${data}`), true);
      return { epoll, event };
    }
  }
  return undefined;
}

function openDescriptors(kind: string): number[] {
  return readdirSync("/proc/self/fd")
    .filter((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).startsWith(kind);
      } catch {
        // The folder's own descriptor is closed by now.
        return false;
      }
    })
    .map(Number);
}
