/** The address of a request's client. An IPv4 client of a socket for both versions has its IPv4 address. */
export function clientAddress(server: Bun.Server<undefined>, request: Request): string {
  const address = server.requestIP(request)?.address ?? "";
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
