import type { FaultKind } from "../oci/fault.ts";

/** What an upstream is asked for. */
export type RequestKind = "manifest" | "blob" | "tags" | "referrers" | "token";

/** POST is for tokens alone. */
export type DialMethod = "GET" | "HEAD" | "POST";

/** What happens on the way out, one request at a time: every redirect and retry is a request of its own. */
export type UpstreamEvent =
  | {
      readonly type: "credentials";
      readonly upstream: string;
      /** What is wrong with them, once per change. */
      readonly problem: string;
    }
  | {
      readonly type: "condemned";
      readonly upstream: string;
      /** Its address, which is not asked for some minutes. */
      readonly mirror: string;
      /** What it sent. */
      readonly reason: string;
    }
  | {
      readonly type: "answered";
      readonly upstream: string;
      readonly request: RequestKind;
      readonly method: DialMethod;
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
