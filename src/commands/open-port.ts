import type { Address } from "../config/settings.ts";

/** An address that cannot be listened at. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * Starts a server at an address.
 *
 * @param what the setting that names the address
 * @throws ListenError
 */
export function openPort<Server>(what: string, address: Address, serve: () => Server): Server {
  try {
    return serve();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const where = `${what} ${address.host}:${address.port}`;
    throw new ListenError(`${where} cannot be opened: ${reason(code, cause)}`, { cause });
  }
}

function reason(code: unknown, cause: unknown): string {
  switch (code) {
    case "EADDRINUSE":
      return "another process listens there. Find it with `ss -ltnp`, or choose another port";
    case "EACCES":
      return "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE). Choose a higher one";
    case "EADDRNOTAVAIL":
      return "this machine does not have that address";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
