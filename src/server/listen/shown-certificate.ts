/** Whose a connection is. */
export interface ShownCertificate {
  /** The client's address, without its port. */
  readonly address: string;
  /** The subject alternative names of its certificate, if it showed one. */
  readonly certificate?: readonly string[];
}
