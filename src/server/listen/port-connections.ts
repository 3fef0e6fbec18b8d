import { ptr } from "bun:ffi";
import { readdirSync } from "node:fs";
import { type Libc, libc } from "./listening-sockets.ts";

/** An accepted connection, as the kernel knows it. */
export interface PortConnection {
  readonly descriptor: number;
  /** For how long neither side has sent anything, in milliseconds. */
  readonly idle: number;
}

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const SHUT_RDWR = 2;
/** Of `struct tcp_info`, in linux/tcp.h: `tcpi_state`, `tcpi_last_data_sent` and `tcpi_last_data_recv`. */
const STATE = 0;
const LAST_SENT = 44;
const LAST_RECEIVED = 52;
const TCP_ESTABLISHED = 1;

/** The connections of this process that clients have made to a port; none on other systems than Linux. */
export function connectionsAt(port: number): PortConnection[] {
  if (process.platform !== "linux") return [];
  const c = libc();
  return readdirSync("/proc/self/fd").flatMap((name) => connectionAt(c, Number(name), port) ?? []);
}

/** Ends a connection as its client could: whoever serves it sees that, and closes it. */
export function endConnections(connections: readonly PortConnection[]): void {
  if (connections.length === 0) return;
  const c = libc();
  for (const { descriptor } of connections) c.shutdown(descriptor, SHUT_RDWR);
}

function connectionAt(c: Libc, descriptor: number, port: number): PortConnection | undefined {
  const address = new Uint8Array(128);
  const size = new Uint32Array([address.byteLength]);
  // It fails for whatever is no socket.
  if (c.getsockname(descriptor, ptr(address), ptr(size)) !== 0) return undefined;
  // In both families, the port follows the two bytes of the family, in network byte order.
  if (new DataView(address.buffer).getUint16(2) !== port) return undefined;
  const info = new Uint8Array(128);
  const length = new Uint32Array([info.byteLength]);
  if (c.getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, ptr(info), ptr(length)) !== 0) {
    return undefined;
  }
  if (info[STATE] !== TCP_ESTABLISHED) return undefined;
  const view = new DataView(info.buffer);
  const idle = Math.min(view.getUint32(LAST_SENT, true), view.getUint32(LAST_RECEIVED, true));
  return { descriptor, idle };
}
