import type { Grant } from "../../access/decision.ts";
import type { Identity } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Page } from "../listen/node-answers.ts";
import type { CachedResponse, Snapshot } from "../pull/response-cache.ts";
import type { RepositoryTarget } from "../pull/route.ts";
import type { Place } from "./transit.ts";

/** A request that a worker received, and the main thread is to answer. */
export interface Question {
  readonly kind: "ask";
  /** Unique in the worker. */
  readonly id: number;
  readonly port: number;
  /** What is asked: a page, or the components of the path below `/v2/`. */
  readonly target: Page | readonly string[];
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly address: string;
}

/** What may be sent again to the same request: its headers and its body are those of the answer. */
export type Kept = Omit<CachedResponse, "route" | "body" | "headers"> & {
  readonly route: RepositoryTarget;
  readonly snapshot: Snapshot;
};

export interface Answer {
  readonly kind: "answer";
  readonly id: number;
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  /** Bytes, a file or a part of one; `stream` if the body follows in chunks, each of which is asked for. */
  readonly body: Blob | "stream" | null;
  /** Bytes of a body whose sending is to be followed. */
  readonly followed?: number;
  readonly kept?: Kept;
}

/** Requests that a worker answered by itself with the same response. */
export interface Hits {
  readonly path: string;
  readonly route: RepositoryTarget;
  readonly digest: Digest;
  readonly size: number;
  readonly access: Grant;
  readonly principal: string | undefined;
  readonly held: string | undefined;
  readonly requests: readonly Hit[];
}

export interface Hit {
  /** The client's address, without its port. */
  readonly address: string;
  readonly userAgent: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly milliseconds: number;
  /** As the client sent it. */
  readonly traceparent?: string;
}

/** From the main thread to a worker. */
export type ToWorker =
  | {
      readonly kind: "start";
      readonly shared: SharedArrayBuffer;
      readonly transit: SharedArrayBuffer;
      /** See `ProcessKey.bytes`. */
      readonly key: Uint8Array<ArrayBuffer>;
    }
  /** Opens a port at a listening socket, of which it takes the descriptor. */
  | {
      readonly kind: "open";
      readonly id: number;
      readonly port: number;
      readonly descriptor: number;
      readonly pathPrefixes: readonly string[];
      readonly tls?: Identity;
    }
  | { readonly kind: "renew"; readonly id: number; readonly tls: Identity }
  | { readonly kind: "pause" | "resume" }
  /** Asks for the hits so far. */
  | { readonly kind: "collect"; readonly id: number }
  | { readonly kind: "stop"; readonly id: number; readonly closeConnections: boolean }
  | Answer
  | { readonly kind: "idle-timeout"; readonly id: number; readonly seconds: number }
  | { readonly kind: "chunk"; readonly id: number; readonly bytes: Place | Uint8Array<ArrayBuffer> }
  /** The end of a stream, or the reason for which it broke. */
  | { readonly kind: "end"; readonly id: number; readonly error?: string }
  /** There is no answer. */
  | { readonly kind: "failed"; readonly id: number; readonly error: string };

/** What is told of a response whose body was sent, besides the end of `FileSend`. */
export type SendEvent =
  | { readonly kind: "sent"; readonly id: number; readonly bytes: number }
  | {
      readonly kind: "broke-off";
      readonly id: number;
      readonly bytes: number;
      readonly isExact: boolean;
    };

/** From a worker to the main thread. */
export type FromWorker =
  | Question
  | SendEvent
  /** A client takes the next chunk of a stream, or no more of it. */
  | { readonly kind: "pull" | "cancel"; readonly id: number }
  | { readonly kind: "hits"; readonly hits: readonly Hits[] }
  /** The answer to `open`, `renew`, `collect` and `stop`. */
  | { readonly kind: "done"; readonly id: number; readonly error?: string }
  /** The file of a response could not be opened. */
  | { readonly kind: "unreadable"; readonly message: string; readonly details: object };
