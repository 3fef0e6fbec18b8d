import { dlopen, FFIType, ptr } from "bun:ffi";
import ipaddr from "ipaddr.js";
import type { Address } from "../../config/parsing/address.ts";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * What Bun cannot do with a listening socket: listen at one that is already open
 * (oven-sh/bun#22559), present another certificate at one (oven-sh/bun#43815), and let more than 512
 * connections wait at one. For the first two, the file descriptor of a server is made to refer to another socket (dup3), and is added to epoll again with
 * the event data that Bun had registered, which the kernel shows in /proc/self/fdinfo (proc(5)).
 */

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const O_CLOEXEC = 0o2_000_000;
const F_DUPFD_CLOEXEC = 1030;
/** The kernel reduces it to its own limit. */
const MAX_BACKLOG = 65_535;
const AF_INET = 2;
const AF_INET6 = 10;
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
    listen: { args: [i32, i32], returns: i32 },
    shutdown: { args: [i32, i32], returns: i32 },
    accept4: { args: [i32, pointer, pointer, i32], returns: i32 },
    epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
  }).symbols;
}
export type Libc = ReturnType<typeof libc>;

/** Where a descriptor is registered: the epoll instance and its `struct epoll_event` (epoll_ctl(2)). */
export interface Registration {
  readonly epoll: number;
  readonly event: Uint8Array;
}

/** Opens a server and finds the descriptor of its listening socket, where that is possible. */
export function openWithDescriptor<Server extends { readonly port: number | undefined }>(
  open: () => Server,
): [Server, number | undefined] {
  const before = listeningDescriptors();
  const server = open();
  // Another thread may open and close some at the same time. At another address, one may have the same port.
  for (const [descriptor, port] of listeningDescriptors()) {
    const isNew = before.get(descriptor) !== port;
    if (isNew && port === server.port) return [server, descriptor];
  }
  return [server, undefined];
}

/** With their ports; none if this is not Linux, has another C library than glibc, or has no /proc. */
function listeningDescriptors(): Map<number, number> {
  const listening = new Map<number, number>();
  if (process.platform !== "linux") return listening;
  try {
    const c = libc();
    for (const descriptor of openDescriptors("socket:")) {
      const port = listeningPort(c, descriptor);
      if (port !== undefined) listening.set(descriptor, port);
    }
  } catch {
    return new Map();
  }
  return listening;
}

/** Whether threads can share a listening socket: not on other systems than Linux, or with another C library. */
export function canShare(): boolean {
  if (process.platform !== "linux") return false;
  try {
    libc();
    return true;
  } catch {
    return false;
  }
}

/** Another descriptor of the same listening socket, for a server of another thread; none if that is not possible. */
export function share(descriptor: number): number | undefined {
  const shared = libc().fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return shared < 0 ? undefined : shared;
}

/**
 * Lets as many connections wait to be accepted as the system allows (`net.core.somaxconn`). Where the
 * queue is full, the kernel drops handshakes, and each client tries again only a second later.
 */
export function lengthenQueue(descriptor: number): void {
  // listen(2) on a socket that listens already changes only that limit.
  libc().listen(descriptor, MAX_BACKLOG);
}

/**
 * Exchanges the listening sockets of two servers of this process, with the connections in their
 * queues. No connection is refused meanwhile.
 *
 * @throws Error if that is not possible; both servers then keep their sockets
 */
export function exchangeSockets(one: number, other: number): void {
  const c = libc();
  const [first, second] = [registrationOf(one), registrationOf(other)];
  if (!first || !second) throw new Error("a listening socket was not found in any epoll instance");
  const spare = c.dup(one);
  if (spare < 0) throw new Error("no file descriptor is left to exchange two listening sockets");
  // As long as a socket is open under another descriptor, epoll would report it under the old one.
  c.epoll_ctl(first.epoll, EPOLL_CTL_DEL, one, ptr(first.event));
  c.epoll_ctl(second.epoll, EPOLL_CTL_DEL, other, ptr(second.event));
  // The descriptors are open and the events were registered before, so none of these can fail.
  c.dup3(other, one, O_CLOEXEC);
  c.dup3(spare, other, O_CLOEXEC);
  c.close(spare);
  register(c, one, first);
  register(c, other, second);
}

/** Lets connections wait at a listening socket; `undefined` if that is not possible. `register` undoes it. */
export function withdraw(descriptor: number): Registration | undefined {
  const registration = registrationOf(descriptor);
  if (!registration) return undefined;
  const { epoll, event } = registration;
  libc().epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, ptr(event));
  return registration;
}

/** Ends the connections that wait at a listening socket, which does not block. */
export function refuseWaiting(descriptor: number): void {
  const c = libc();
  for (let refused = 0; refused < MAX_BACKLOG; refused += 1) {
    const connection = c.accept4(descriptor, null, null, 0);
    if (connection < 0) return;
    c.close(connection);
  }
}

/** Adds a descriptor to its epoll instance again. Returns whether that succeeded. */
export function register(c: Libc, descriptor: number, { epoll, event }: Registration): boolean {
  return c.epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, ptr(event)) === 0;
}

/** The port of a listening TCP socket; undefined for anything else. */
export function listeningPort(c: Libc, descriptor: number): number | undefined {
  return listeningAddress(c, descriptor)?.port;
}

/** The address of a listening TCP socket; undefined for anything else. */
export function listeningAddress(c: Libc, descriptor: number): Address | undefined {
  const address = new Uint8Array(128);
  const size = new Uint32Array([address.byteLength]);
  const isListening = new Uint32Array(1);
  const four = new Uint32Array([4]);
  const status = c.getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, ptr(isListening), ptr(four));
  if (status !== 0 || isListening[0] !== 1) return undefined;
  if (c.getsockname(descriptor, ptr(address), ptr(size)) !== 0) return undefined;
  const view = new DataView(address.buffer);
  const family = view.getUint16(0, true);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  // Port and address are in network byte order; in sockaddr_in6, flow information is between them.
  const bytes = family === AF_INET ? address.subarray(4, 8) : address.subarray(8, 24);
  return { host: ipaddr.fromByteArray([...bytes]).toString(), port: view.getUint16(2) };
}

/** The epoll registration of a descriptor, as /proc/self/fdinfo shows it. */
export function registrationOf(descriptor: number): Registration | undefined {
  for (const epoll of openDescriptors("anon_inode:[eventpoll]")) {
    const entries = readFileSync(`/proc/self/fdinfo/${epoll}`, "utf8").matchAll(
      /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)/gm,
    );
    for (const [, target, events, data] of entries) {
      if (Number(target) !== descriptor) continue;
      const event = new Uint8Array(16);
      const view = new DataView(event.buffer);
      view.setUint32(0, Number.parseInt(events ?? "", 16), true);
      // The structure is packed on x86-64 only.
      view.setBigUint64(process.arch === "x64" ? 4 : 8, BigInt(`0x${data}`), true);
      return { epoll, event };
    }
  }
  return undefined;
}

/** @param kind the start of what /proc/self/fd links to, such as `socket:` */
export function openDescriptors(kind: string): number[] {
  return readdirSync("/proc/self/fd")
    .filter((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).startsWith(kind);
      } catch {
        // The descriptor that read the folder is closed by now.
        return false;
      }
    })
    .map(Number);
}
