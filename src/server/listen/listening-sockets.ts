import { dlopen, FFIType, ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * What Bun has no way to do with a listening socket: it neither listens at one that is open
 * (oven-sh/bun#22559), nor shows another certificate at one (oven-sh/bun#43815). But the descriptor
 * of a server can be made to mean another socket, and be told to epoll anew with what it was told
 * before, which the kernel shows under /proc.
 */

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const O_CLOEXEC = 0o2_000_000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

const { i32, pointer } = FFIType;

export function libc() {
  return dlopen("libc.so.6", {
    getsockname: { args: [i32, pointer, pointer], returns: i32 },
    getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
    fcntl: { args: [i32, i32, i32], returns: i32 },
    dup: { args: [i32], returns: i32 },
    dup3: { args: [i32, i32, i32], returns: i32 },
    close: { args: [i32], returns: i32 },
    epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
  }).symbols;
}
export type Libc = ReturnType<typeof libc>;

/** The epoll that waits for a descriptor, and what it was told: `struct epoll_event`. */
interface Watch {
  readonly epoll: number;
  readonly event: Uint8Array;
}

/** Opens a server, and finds the descriptor at which it listens. */
export function openWithDescriptor<Server>(open: () => Server): [Server, number | undefined] {
  if (process.platform !== "linux") return [open(), undefined];
  const c = libc();
  const all = (): number[] =>
    openDescriptors("socket:").filter((each) => listeningPort(c, each) !== undefined);
  const before = new Set(all());
  const server = open();
  return [server, all().find((each) => !before.has(each))];
}

/**
 * Two servers of this process go on each at the other's socket, and with what waits in its queue:
 * nobody who connects meanwhile is refused.
 *
 * @throws where they cannot; both then go on as they were
 */
export function exchangeSockets(one: number, other: number): void {
  const c = libc();
  const [first, second] = [watchOf(one), watchOf(other)];
  if (!first || !second) throw new Error("what waits for the sockets of a server was not found");
  const spare = c.dup(one);
  if (spare < 0) throw new Error("no descriptor is left to exchange two sockets with");
  // While a socket is open elsewhere, epoll would go on telling of it under its old descriptor.
  c.epoll_ctl(first.epoll, EPOLL_CTL_DEL, one, ptr(first.event));
  c.epoll_ctl(second.epoll, EPOLL_CTL_DEL, other, ptr(second.event));
  // Over descriptors that are open, with events that were told before: neither of these can fail.
  c.dup3(other, one, O_CLOEXEC);
  c.dup3(spare, other, O_CLOEXEC);
  c.close(spare);
  watch(c, one, first);
  watch(c, other, second);
}

/** Tells epoll of a descriptor what it was told before. Returns whether it took it. */
export function watch(c: Libc, descriptor: number, { epoll, event }: Watch): boolean {
  return c.epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, ptr(event)) === 0;
}

/** The port of a listening TCP socket; undefined for anything else. */
export function listeningPort(c: Libc, descriptor: number): number | undefined {
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

export function watchOf(own: number): Watch | undefined {
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

export function openDescriptors(kind: string): number[] {
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
