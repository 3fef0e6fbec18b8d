import type { Address } from "../../config/parsing/address.ts";
import {
  libc,
  listeningAddress,
  listeningPort,
  openDescriptors,
  register,
  registrationOf,
} from "./listening-sockets.ts";

/** A listening socket that systemd opened and passed to this process (socket activation). */
export interface InheritedSocket {
  readonly descriptor: number;
  readonly address: Address;
}

/** An inherited socket cannot be used. The message says what to do. */
export class InheritedSocketError extends Error {
  override readonly name = "InheritedSocketError";
}

/** The first inherited descriptor (SD_LISTEN_FDS_START, sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2_000_000;

/**
 * The sockets of a systemd socket unit, if one started this process (sd_listen_fds(3)). Removes the
 * variables that announce them, so that child processes do not take them for their own.
 *
 * @throws InheritedSocketError if a descriptor is not a listening TCP socket
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
    const descriptor = FIRST_DESCRIPTOR + index;
    const address = listeningAddress(c, descriptor);
    if (address) return { descriptor, address };
    throw new InheritedSocketError(
      `systemd passed descriptor ${descriptor}, which is not a listening TCP socket: use ListenStream=PORT, without Accept=yes`,
    );
  });
}

/**
 * Makes a server listen at an inherited socket instead of its own.
 *
 * @param server listens at a temporary port of 127.0.0.1
 * @throws InheritedSocketError if any step fails; the server must then be stopped
 */
export function adoptSocket(
  server: Bun.Server<undefined>,
  { descriptor }: Pick<InheritedSocket, "descriptor">,
): void {
  const c = libc();
  const own = openDescriptors("socket:").find((each) => listeningPort(c, each) === server.port);
  const registration = own === undefined ? undefined : registrationOf(own);
  if (own === undefined || !registration) throw unusable("the server's own socket was not found");
  // Bun calls accept until no connection is left: on a blocking socket that would block for ever.
  const isReady =
    c.fcntl(descriptor, F_SETFL, O_NONBLOCK) === 0 && c.dup3(descriptor, own, O_CLOEXEC) === own;
  if (!isReady) throw unusable("it cannot replace the server's own socket");
  if (!register(c, own, registration)) throw unusable("it cannot be added to epoll");
  c.close(descriptor);
}

function unusable(why: string): InheritedSocketError {
  return new InheritedSocketError(
    `the socket that systemd passed cannot be used (${why}): disable entrepot.socket, and the cache opens its ports itself`,
  );
}
