import { Fault, isUnsent } from "../../oci/fault.ts";
import { secondsText } from "../../oci/seconds-text.ts";

/** Every reason for which a request to the shared store can fail. The union is closed. */
export type SharedStoreProblem =
  /** There was no response. */
  | { readonly kind: "unreachable"; readonly reason: string }
  | { readonly kind: "timeout"; readonly waitedFor: string; readonly seconds: number }
  /** The bucket is not there. */
  | { readonly kind: "no-bucket"; readonly bucket: string }
  /** Access keys, a token or a role are missing, unknown or expired. */
  | { readonly kind: "credentials"; readonly reason: string }
  /** The keys are known, and may not do this. */
  | { readonly kind: "denied"; readonly action: string; readonly code: string }
  /** The clock of this machine or of the store is wrong. */
  | { readonly kind: "clock"; readonly code: string }
  /** The bucket is in another region, or at another address. */
  | { readonly kind: "elsewhere"; readonly where: string }
  /** There is no space, or a quota is used up. */
  | { readonly kind: "full"; readonly code: string }
  /** The bytes that were sent are not those of the digest. */
  | { readonly kind: "wrong-bytes" }
  /** It asks for fewer requests, or fails for a while. */
  | { readonly kind: "busy"; readonly status: number }
  /** It sent something that no object store sends. */
  | { readonly kind: "invalid-response"; readonly reason: string }
  | { readonly kind: "failed"; readonly status: number; readonly code: string };

/** A request to the shared store failed. */
export class SharedStoreError extends Error {
  override readonly name = "SharedStoreError";

  /** @param store its name, for the message */
  constructor(
    readonly store: string,
    readonly problem: SharedStoreProblem,
    options?: ErrorOptions,
  ) {
    super(`${store} ${describe(problem)}`, options);
  }

  /** The error of a request of which the network brought no response, or not all of it. */
  static of(store: string, fault: Fault): SharedStoreError {
    return new SharedStoreError(store, problemOf(fault), { cause: fault });
  }

  /** The message without the store's name. */
  get detail(): string {
    return `it ${describe(this.problem)}`;
  }

  /** Whether this machine kept the request from being sent: that says nothing of the store. */
  get isLocal(): boolean {
    return this.cause instanceof Fault && isUnsent(this.cause);
  }

  /** Whether the store as a whole gives no answer, and not only to this request. */
  get isAbsence(): boolean {
    const { problem } = this;
    if (this.isLocal) return false;
    if (problem.kind === "failed") return problem.status >= 500;
    return ["unreachable", "timeout", "busy", "no-bucket", "elsewhere"].includes(problem.kind);
  }

  /** The same for a pull, which has further sources. */
  toFault(): Fault {
    const { store: upstream, problem, cause } = this;
    if (cause instanceof Fault) return cause;
    switch (problem.kind) {
      case "unreachable":
        return new Fault({ kind: "upstream-unreachable", upstream, reason: problem.reason });
      case "timeout": {
        const { waitedFor, seconds } = problem;
        return new Fault({ kind: "upstream-timeout", upstream, waitedFor, seconds });
      }
      case "busy":
      case "failed":
        return new Fault({ kind: "upstream-failed", upstream, status: problem.status });
      default: {
        const reason = describe(problem);
        return new Fault({ kind: "upstream-invalid-response", upstream, reason });
      }
    }
  }
}

function problemOf({ detail, message }: Fault): SharedStoreProblem {
  switch (detail.kind) {
    case "upstream-unreachable":
      return { kind: "unreachable", reason: detail.reason };
    case "upstream-timeout":
      return { kind: "timeout", waitedFor: detail.waitedFor, seconds: detail.seconds };
    case "upstream-invalid-response":
      return { kind: "invalid-response", reason: detail.reason };
    default:
      return { kind: "unreachable", reason: message };
  }
}

/** Follows the store's name. */
function describe(problem: SharedStoreProblem): string {
  switch (problem.kind) {
    case "unreachable":
      return `cannot be reached: ${problem.reason}`;
    case "timeout":
      return `did not ${problem.waitedFor} within ${secondsText(problem.seconds)}`;
    case "no-bucket":
      return `has no bucket ${problem.bucket}`;
    case "credentials":
      return `does not accept the credentials: ${problem.reason}`;
    case "denied":
      return `does not permit s3:${problem.action} (${problem.code})`;
    case "clock":
      return `finds the time of this machine wrong (${problem.code})`;
    case "elsewhere":
      return `does not have the bucket: ${problem.where}`;
    case "full":
      return `has no space left (${problem.code})`;
    case "wrong-bytes":
      return "refused bytes that do not match their digest";
    case "busy":
      return `asks for fewer requests (${problem.status})`;
    case "invalid-response":
      return `sent an invalid response: ${problem.reason}`;
    case "failed":
      return `returned ${problem.status}${problem.code === "" ? "" : ` (${problem.code})`}`;
  }
}
