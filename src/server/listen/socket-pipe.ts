import type { Socket } from "bun";

/** Bytes on their way from one socket to another. The source pauses while they wait. */
export class SocketPipe {
  #from: Socket<unknown> | undefined;
  #to: Socket<unknown> | undefined;
  #waiting: Uint8Array[] = [];
  #isEnding = false;

  constructor(from?: Socket<unknown>) {
    this.#from = from;
  }

  /** Where the bytes come from, if that is known only now. */
  reads(from: Socket<unknown>): void {
    this.#from = from;
  }

  /** Where the bytes go, from now on. */
  opened(to: Socket<unknown>): void {
    this.#to = to;
    this.drained();
  }

  write(bytes: Uint8Array): void {
    // They are the socket's own once this returns.
    if (this.#waiting.length > 0 || !this.#to) this.#wait(bytes.slice());
    else {
      const written = this.#to.write(bytes);
      if (written < 0) this.end();
      else if (written < bytes.byteLength) this.#wait(bytes.slice(written));
    }
  }

  /** The target takes bytes again. */
  drained(): void {
    const to = this.#to;
    if (!to) return;
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const written = to.write(first);
      if (written < 0) return;
      if (written < first.byteLength) {
        this.#waiting[0] = first.subarray(written);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#isEnding) to.end();
    else this.#from?.resume();
  }

  /** There are no more bytes: the target ends once it has those that wait. */
  end(): void {
    this.#isEnding = true;
    if (this.#waiting.length === 0) this.#to?.end();
  }

  #wait(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#from?.pause();
  }
}
