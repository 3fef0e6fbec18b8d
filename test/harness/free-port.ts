/** Below those that Linux gives to whoever chooses none (ip_local_port_range), as most tests do. */
const FIRST_PORT = 12_000;
const LAST_PORT = 32_000;
const MAX_ATTEMPTS = 100;

/**
 * A TCP port that is free at this moment. Only for programs that cannot choose a port themselves and
 * report it: another process may take the port first.
 */
export function freePort(hostname = "127.0.0.1"): number {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    try {
      Bun.listen({ hostname, port, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // Taken.
    }
  }
  throw new Error(`${MAX_ATTEMPTS} ports at ${hostname} are taken`);
}
