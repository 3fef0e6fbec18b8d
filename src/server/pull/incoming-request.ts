import type { FileSend } from "./file-sends.ts";
import type { CachedResponse, Snapshot } from "./response-cache.ts";
import type { RequestTarget } from "./route.ts";

/** What is read of a request, which another thread may have received. */
export type ReceivedRequest = Pick<Request, "method" | "url" | "headers" | "signal">;

/** A request as a port received it. */
export interface IncomingRequest extends Pick<RequestTarget, "segments" | "port"> {
  readonly request: ReceivedRequest;
  /** The client's address, without its port. */
  readonly address: string;
  /** The subject alternative names of the client's certificate, if it showed one that is trusted. */
  readonly certificate?: readonly string[];
  /** Whether the client is still connected and its response not yet sent. */
  readonly isOpen: () => boolean;
  setIdleTimeout(seconds: number): void;
  /** Set if another thread received the request, and sends the response. */
  readonly sender?: ResponseSender;
}

/** A thread that sends a response which was made in this one. Told before the response is returned. */
export interface ResponseSender {
  /** The body is a stream. It is not to be taken for a file, which can be sent without reading it here. */
  streams(): void;
  /** Takes the place of `FileSends.follow`. */
  follow(send: Omit<FileSend, "signal" | "isOpen">): void;
  /** The same request may get the same response again, without a look-up, until something changes. */
  keep(response: CachedResponse, snapshot: Snapshot): void;
}
