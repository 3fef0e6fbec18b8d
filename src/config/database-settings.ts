/** Where the ledger is, and how it is reached. */
export interface DatabaseSettings {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: "none" | DatabaseTls;
}

/** The settings as they are at the moment: whoever opens a connection takes those. `undefined` if there are none. */
export function currentDatabase(
  current: () => DatabaseSettings | undefined,
): DatabaseSettings | undefined {
  const first = current();
  if (!first) return undefined;
  const read = (): DatabaseSettings => current() ?? first;
  return {
    get host() {
      return read().host;
    },
    get port() {
      return read().port;
    },
    get user() {
      return read().user;
    },
    get password() {
      return read().password;
    },
    get database() {
      return read().database;
    },
    get tls() {
      return read().tls;
    },
  };
}

export interface DatabaseTls {
  /** CA certificates to trust instead of the public ones, as PEM text. */
  readonly ca?: string;
  /** What is checked of the server's certificate. `authority`: who signed it, and not the name. */
  readonly verify: "full" | "authority" | "nothing";
}
