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

export interface DatabaseTls {
  /** CA certificates to trust instead of the public ones, as PEM text. */
  readonly ca?: string;
  /** What is checked of the server's certificate. `authority`: who signed it, and not the name. */
  readonly verify: "full" | "authority" | "nothing";
}
