import { ChunkedDecoder } from "./chunked-decoder.ts";
import { parseHead, type ResponseHead } from "./response-head.ts";
import { HttpSyntaxError } from "./syntax-error.ts";

/** The largest head, in bytes. */
const MAX_HEAD_BYTES = 64 * 1024;
/** The most interim responses (1xx) before the final one. */
const MAX_INTERIM = 8;

const HEAD_END = Buffer.from("\r\n\r\n");

/**
 * Parses the response to one GET from the bytes of a connection, as they arrive. Strict: where RFC 9112 lets
 * a recipient repair a response, this refuses it.
 */
export class ResponseParser {
  #head: ResponseHead | undefined;
  /** The bytes of an incomplete head. */
  #received: Buffer = Buffer.alloc(0);
  #interim = 0;
  #chunked: ChunkedDecoder | undefined;
  /** Bytes that are left of a body whose length is known. */
  #left = 0;
  #isClosed = false;
  #hasSurplus = false;

  /** Set once the final response's head is complete. */
  get head(): ResponseHead | undefined {
    return this.#head;
  }

  /** Whether anything was received. */
  get hasBegun(): boolean {
    return this.#head !== undefined || this.#received.byteLength > 0 || this.#interim > 0;
  }

  /** Whether the whole body was received. */
  get isDone(): boolean {
    if (!this.#head) return false;
    if (this.#chunked) return this.#chunked.isDone;
    return this.#head.framing.kind === "close" ? this.#isClosed : this.#left === 0;
  }

  /** Whether the connection may be used for another request. */
  get isReusable(): boolean {
    return this.isDone && !this.#hasSurplus && this.#head?.keepAlive === true;
  }

  /**
   * Returns the bytes of the body among these: a view of them, which may be moved within them.
   *
   * @throws HttpSyntaxError
   */
  push(bytes: Buffer): Buffer {
    const rest = this.#head ? bytes : this.#pushHead(bytes);
    return rest.byteLength === 0 ? rest : this.#pushBody(rest);
  }

  /** The connection was closed by the other side: that ends a body without a length. */
  close(): void {
    this.#isClosed = true;
  }

  /** Returns the bytes behind the head, once it is complete. */
  #pushHead(bytes: Buffer): Buffer {
    // The end may begin in the bytes from before.
    const searched = Math.max(0, this.#received.byteLength - HEAD_END.byteLength);
    const received = this.#received.byteLength > 0 ? Buffer.concat([this.#received, bytes]) : bytes;
    let end = received.indexOf(HEAD_END, searched);
    let start = 0;
    while (end !== -1) {
      if (end - start > MAX_HEAD_BYTES) throw new HttpSyntaxError("ResponseHeadersTooLarge");
      const head = parseHead(received.toString("latin1", start, end));
      start = end + HEAD_END.byteLength;
      if (head.status >= 200) {
        this.#begin(head);
        this.#received = Buffer.alloc(0);
        return received.subarray(start);
      }
      this.#interim += 1;
      // Nobody asked to switch protocols (101).
      if (head.status === 101 || this.#interim > MAX_INTERIM) {
        throw new HttpSyntaxError("InvalidHTTPResponse");
      }
      end = received.indexOf(HEAD_END, start);
    }
    const rest = received.subarray(start);
    if (rest.byteLength > MAX_HEAD_BYTES) throw new HttpSyntaxError("ResponseHeadersTooLarge");
    if (!isStatusLine(rest)) throw new HttpSyntaxError("InvalidHTTPResponse");
    // A copy, so that a few bytes do not keep the whole of what was received in memory.
    this.#received = Buffer.from(rest);
    return Buffer.alloc(0);
  }

  #begin(head: ResponseHead): void {
    this.#head = head;
    const { framing } = head;
    if (framing.kind === "chunked") this.#chunked = new ChunkedDecoder();
    if (framing.kind === "length") this.#left = framing.length;
  }

  #pushBody(bytes: Buffer): Buffer {
    if (this.#chunked) {
      const { body, used } = this.#chunked.push(bytes);
      if (used < bytes.byteLength) this.#hasSurplus = true;
      return body;
    }
    if (this.#head?.framing.kind === "close") return bytes;
    const body = bytes.subarray(0, this.#left);
    this.#left -= body.byteLength;
    if (body.byteLength < bytes.byteLength) this.#hasSurplus = true;
    return body;
  }
}

/** Whether an incomplete head begins like one: a server that speaks another protocol is told at once. */
function isStatusLine(bytes: Uint8Array): boolean {
  const start = "HTTP/1.";
  const length = Math.min(start.length, bytes.byteLength);
  for (let at = 0; at < length; at += 1) {
    if (bytes[at] !== start.charCodeAt(at)) return false;
  }
  return true;
}
