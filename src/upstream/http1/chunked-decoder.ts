import { HttpSyntaxError } from "./syntax-error.ts";

const CR = 13;
const LF = 10;
/** The longest line that frames a chunk, and the longest trailer section, in bytes. */
const MAX_LINE_BYTES = 1024;
const MAX_TRAILER_BYTES = 16 * 1024;

/** A chunk's size and its extensions, which have no meaning here (RFC 9112 section 7.1). */
const SIZE_LINE = /^([\da-fA-F]{1,12})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?$/;
const TRAILER_LINE = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;

/** Decodes the chunked transfer coding. Trailers are dropped. */
export class ChunkedDecoder {
  #state: "size" | "data" | "data-end" | "trailers" | "done" = "size";
  /** Bytes that are left of the current chunk. */
  #left = 0;
  #line = "";
  #trailerBytes = 0;

  get isDone(): boolean {
    return this.#state === "done";
  }

  /**
   * Decodes bytes up to the end of the body, in place: a server that sends tiny chunks must not make a view
   * of each necessary.
   *
   * @returns the decoded bytes, a view of the given ones, and how many of the given ones were used
   * @throws HttpSyntaxError
   */
  push(bytes: Buffer): { readonly body: Buffer; readonly used: number } {
    let [at, from, to] = [0, 0, 0];
    while (at < bytes.byteLength && this.#state !== "done") {
      if (this.#state === "data") {
        const end = Math.min(bytes.byteLength, at + this.#left);
        if (to === 0) from = to = at;
        else if (at > to) bytes.copyWithin(to, at, end);
        to += end - at;
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#state = "data-end";
        continue;
      }
      const newline = bytes.indexOf(LF, at);
      const end = newline === -1 ? bytes.byteLength : newline + 1;
      if (end - at + this.#line.length > MAX_LINE_BYTES) invalid();
      this.#line += bytes.toString("latin1", at, end);
      at = end;
      if (newline !== -1) this.#endLine();
    }
    return { body: bytes.subarray(from, to), used: at };
  }

  #endLine(): void {
    const line = this.#line;
    this.#line = "";
    if (line.charCodeAt(line.length - 2) !== CR) invalid();
    const text = line.slice(0, -2);
    if (this.#state === "data-end") {
      if (text !== "") invalid();
      this.#state = "size";
    } else if (this.#state === "size") {
      const digits = SIZE_LINE.exec(text)?.[1];
      if (digits === undefined) return invalid();
      this.#left = Number.parseInt(digits, 16);
      this.#state = this.#left === 0 ? "trailers" : "data";
    } else if (text === "") {
      this.#state = "done";
    } else {
      this.#trailerBytes += line.length;
      if (!TRAILER_LINE.test(text) || this.#trailerBytes > MAX_TRAILER_BYTES) invalid();
    }
  }
}

function invalid(): never {
  throw new HttpSyntaxError("InvalidHTTPResponse");
}
