import type { RepositoryRef } from "../store/metadata-store.ts";
import type { PresentedCredentials } from "./authorization.ts";

/** Who asks, as this cache knows it: `user:alice`, `token:ci`, `kubernetes:team-a/builder`, `certificate:node-7`. */
export interface Principal {
  /** What proved it, a colon, and the name there: so no source can name the clients of another one. */
  readonly name: string;
}

/** Where a request came from. */
export interface ClientConnection {
  /** The client's address, without its port. */
  readonly address: string;
  /** The subject alternative names of the client's certificate, if it showed one that is trusted. */
  readonly certificate?: readonly string[];
}

export type Identity =
  | { readonly kind: "anonymous" }
  | {
      readonly kind: "principal";
      readonly principal: Principal;
      /** Until when that holds, in milliseconds of the epoch; absent: until something changes. */
      readonly until?: number;
    }
  /** What it presented proves nothing. The reason is for the log, and has no secret in it. */
  | { readonly kind: "refused"; readonly reason: string }
  /** Too many attempts from its address failed. */
  | { readonly kind: "slowed"; /** In seconds. */ readonly retryAfter: number };

/** The clients that this cache knows itself, and what they may pull: for `access: clients`. */
export interface ClientAccess {
  /** Never rejects. */
  identify(
    presented: PresentedCredentials | undefined,
    connection: ClientConnection,
  ): Promise<Identity>;
  mayPull(principal: Principal, repo: RepositoryRef): boolean;
  /** Increases whenever another answer may be right: files or rules have changed. */
  readonly revision: number;
}
