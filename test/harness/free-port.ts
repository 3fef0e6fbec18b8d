/**
 * A TCP port that is free at this moment. Only for programs that cannot choose a port themselves and
 * report it: another process may take the port first.
 */
export function freePort(hostname = "127.0.0.1"): number {
  const listener = Bun.listen({ hostname, port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
