/** A user and a token that a registry takes as its password. */
export interface IssuedToken {
  readonly username: string;
  readonly password: string;
  /** How long it is valid, in milliseconds from now. */
  readonly lifetime: number;
}
