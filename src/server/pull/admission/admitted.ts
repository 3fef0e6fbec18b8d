import type { ClientConnection } from "../../../access/client-access.ts";
import type { Upstream } from "../../../cache/upstream.ts";
import type { ReceivedRequest } from "../incoming-request.ts";

/** A request before anything of it is looked up. */
export interface Asking {
  readonly request: ReceivedRequest;
  readonly connection: ClientConnection;
}

/** A request that is let in: what is looked up for it, and who may have the response. */
export interface Admitted {
  /** Its registry is asked with the credentials that the client may use. */
  readonly upstream: Upstream;
  /** Absent: anybody may have the response. Otherwise, who else is named like this. */
  readonly viewer?: string;
  /**
   * While the response may be sent again, in milliseconds of the epoch: from the first moment on and before
   * the second, so that a clock that is set back makes it no longer.
   */
  readonly from?: number;
  readonly until?: number;
  /** Who pulls, for the audit. */
  readonly principal?: string;
}
