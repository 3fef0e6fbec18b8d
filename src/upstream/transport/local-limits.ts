import { Fault, type LocalLimit } from "../../oci/fault.ts";
import { exchangeError } from "./exchange-probe.ts";

interface Meaning {
  readonly limit: LocalLimit;
  /** What is wrong, and what to do. */
  readonly reason: string;
}

/** What error codes of socket(2), connect(2), fork(2) and recv(2) say of this machine. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  EMFILE: {
    limit: "file-descriptors",
    reason:
      "the cache has no file descriptor left (EMFILE): raise the limit (LimitNOFILE in a systemd unit)",
  },
  ENFILE: {
    limit: "file-descriptors",
    reason: "the machine has no file descriptor left (ENFILE): raise fs.file-max (sysctl)",
  },
  ENOMEM: {
    limit: "memory",
    reason: "the kernel has no memory for it (ENOMEM): raise the memory limit, or free memory",
  },
  ENOBUFS: {
    limit: "memory",
    reason:
      "the kernel has no memory for network buffers (ENOBUFS): raise the memory limit, or net.ipv4.tcp_mem (sysctl)",
  },
  EAGAIN: {
    limit: "processes",
    reason:
      "no process can be started (EAGAIN): raise the limit (TasksMax in a systemd unit, pids in a container, ulimit -u)",
  },
  EADDRNOTAVAIL: {
    limit: "ports",
    reason:
      "no local port or address is left to connect from (EADDRNOTAVAIL): widen net.ipv4.ip_local_port_range (sysctl)",
  },
  EACCES: {
    limit: "permission",
    reason:
      "it is not permitted to connect (EACCES): see the rules of SELinux, AppArmor, seccomp and the firewall here",
  },
  EPERM: {
    limit: "permission",
    reason:
      "it is not permitted to connect (EPERM): see the rules of the firewall, seccomp and network policies here",
  },
};

/** The fault for an error that this machine caused, by its code; `undefined` for any other. */
export function localLimitFault(upstream: string, cause: unknown): Fault | undefined {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const meaning = MEANINGS[code];
  return meaning && new Fault({ kind: "local-limit", upstream, ...meaning }, { cause });
}

/** The fault of a request for which no file descriptor is left but those for what is stored. */
export function reservedFault(upstream: string, { limit }: { readonly limit: number }): Fault {
  const reason = `nearly all of the cache's ${limit} file descriptors are in use, and the last are for what is stored: raise the limit (LimitNOFILE in a systemd unit)`;
  return new Fault({ kind: "local-limit", upstream, limit: "file-descriptors", reason });
}

export interface Destination {
  readonly ip: string;
  readonly port: number;
}

/** For look-ups: it only shows whether this machine provides sockets. */
const LOOPBACK: Destination = { ip: "127.0.0.1", port: 53 };

/** The error of a request. Bun reports most errors of socket(2) and connect(2) as ECONNREFUSED. */
export async function requestCause(cause: unknown, destination: Destination): Promise<unknown> {
  const isRefused = cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
  return isRefused ? ((await socketError(destination)) ?? cause) : exchangeCause(cause);
}

/** The error of a connection that was made. `fetch` reports all errors of recv(2) as ECONNRESET. */
export async function exchangeCause(cause: unknown): Promise<unknown> {
  const isReset = cause instanceof Error && "code" in cause && cause.code === "ECONNRESET";
  return isReset ? ((await exchangeError()) ?? cause) : cause;
}

/** The fault of a request that took too long. Bun waits for what the kernel does not send. */
export async function timeoutCause(upstream: string, fault: unknown): Promise<unknown> {
  const isTimeout = fault instanceof Fault && fault.detail.kind === "upstream-timeout";
  return isTimeout ? (localLimitFault(upstream, await exchangeError()) ?? fault) : fault;
}

/** The error of a DNS look-up. A resolver says of each error that the name has no address, or the server fails. */
export async function lookupCause(cause: unknown): Promise<unknown> {
  return (await socketError(LOOPBACK)) ?? cause;
}

/**
 * The error with which this machine refuses sockets now. A UDP socket meets the same limits as a TCP socket, with
 * their codes, and connecting it sends nothing.
 */
async function socketError({ ip, port }: Destination): Promise<unknown> {
  const hostname = ip.includes(":") ? "::" : "0.0.0.0";
  try {
    const socket = await Bun.udpSocket({ hostname, connect: { hostname: ip, port } });
    socket.close();
    return undefined;
  } catch (error) {
    return error;
  }
}
