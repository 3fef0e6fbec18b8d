import type { FaultKind, LocalLimit } from "../oci/fault.ts";

/** What a request to an upstream is for. */
export type RequestKind = "manifest" | "blob" | "tags" | "referrers" | "token" | "probe";

/** POST is for tokens alone. */
export type DialMethod = "GET" | "HEAD" | "POST";

/** An event of the upstream client. Every redirect and retry is a request with events of its own. */
export type UpstreamEvent =
  | {
      readonly type: "credentials";
      readonly upstream: string;
      /** What is wrong with them; reported once per change. */
      readonly problem: string;
    }
  | {
      /** A mirror sent an invalid response and gets no requests for ten minutes (outlier ejection). */
      readonly type: "ejected";
      readonly upstream: string;
      /** The mirror's URL. */
      readonly mirror: string;
      /** What was wrong with the response. */
      readonly reason: string;
    }
  | {
      readonly type: "responded";
      readonly upstream: string;
      readonly kind: RequestKind;
      readonly method: DialMethod;
      readonly status: number;
      /** From the call to the last response header. */
      readonly milliseconds: number;
    }
  | {
      readonly type: "failed";
      readonly upstream: string;
      readonly kind: RequestKind;
      /** `aborted`: the caller aborted the request. */
      readonly fault: FaultKind | "aborted";
    }
  | {
      /** A limit of this machine kept a request from being sent or a response from being received. */
      readonly type: "local-limit";
      readonly upstream: string;
      readonly limit: LocalLimit;
      /** What is wrong, and what to do. */
      readonly reason: string;
    }
  | {
      readonly type: "received";
      readonly upstream: string;
      readonly kind: RequestKind;
      /** The bytes of a response body, reported once at its end. */
      readonly bytes: number;
    };

/** Receives events. Must neither throw nor block. */
export type UpstreamObserver = (event: UpstreamEvent) => void;
