import { libc, listeningPort, openDescriptors, watch, watchOf } from "./listening-sockets.ts";

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
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2_000_000;

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
 * Lets a server answer at an inherited socket in place of its own. Each step is checked, and nothing
 * goes on with half.
 *
 * @param server listens at a port of 127.0.0.1 that nobody was told of
 * @throws InheritedSocketError
 */
export function adoptSocket(server: Bun.Server<undefined>, { descriptor }: InheritedSocket): void {
  const c = libc();
  const own = openDescriptors("socket:").find((each) => listeningPort(c, each) === server.port);
  const watched = own === undefined ? undefined : watchOf(own);
  if (own === undefined || !watched) throw refused("the server's own socket was not found");
  // Bun accepts until there is nobody left, and would wait there for ever.
  const isReady =
    c.fcntl(descriptor, F_SETFL, O_NONBLOCK) === 0 && c.dup3(descriptor, own, O_CLOEXEC) === own;
  if (!isReady) throw refused("it cannot be put in the place of the server's own");
  if (!watch(c, own, watched)) {
    throw refused("it cannot be waited for");
  }
  c.close(descriptor);
}

function refused(why: string): InheritedSocketError {
  return new InheritedSocketError(
    `the socket that systemd handed over cannot be used here (${why}): disable entrepot.socket, and the cache opens its ports itself`,
  );
}
