import type { FaultKind } from "../oci/fault.ts";

/** What an upstream is asked for. */
export type RequestKind = "manifest" | "blob" | "tags" | "referrers" | "token";

/** What happens on the way out, one request at a time: every redirect and retry is a request of its own. */
export type UpstreamEvent =
  | {
      readonly type: "answered";
      readonly upstream: string;
      readonly request: RequestKind;
      readonly method: "GET" | "HEAD";
      readonly status: number;
      /** From the call to the last header. */
      readonly milliseconds: number;
    }
  | {
      readonly type: "failed";
      readonly upstream: string;
      readonly request: RequestKind;
      /** `aborted` where whoever asked gave up. */
      readonly fault: FaultKind | "aborted";
    }
  | {
      readonly type: "received";
      readonly upstream: string;
      readonly request: RequestKind;
      /** Of the body; told when it is over. */
      readonly bytes: number;
    };

/** Told of what happens; must neither throw nor wait. */
export type UpstreamObserver = (event: UpstreamEvent) => void;
