import { byteTurns } from "../../event-loop/byte-turns.ts";
import { ConnectionsLost } from "../http1/downloads.ts";
import type { BodyReader, GetRequest, GetResponse } from "../http1/get.ts";
import type { FromThread, Part, ToThread } from "./messages.ts";

/** What a download needs of the thread that receives it. */
export interface ThreadLink {
  readonly shared: SharedArrayBuffer;
  post(message: ToThread): void;
  /** Nothing more is told about this download. */
  ended(id: number): void;
}

/** An error of the download thread. */
class RemoteError extends Error {
  constructor(
    message: string,
    readonly code: string | undefined,
  ) {
    super(message);
  }
}

type About<Kind extends FromThread["kind"]> = Extract<FromThread, { readonly kind: Kind }>;

/** A download by another thread, as that of `get`. */
export class RemoteDownload implements BodyReader {
  readonly #id: number;
  readonly #link: ThreadLink;
  readonly #lends: boolean;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => this.#end(this.#signal.reason);
  readonly #head = Promise.withResolvers<GetResponse>();
  #reading: PromiseWithResolvers<Uint8Array | undefined> | undefined;
  /** The bytes that the reader uses, until it reads or cancels: also after an abort. */
  #lent: Part | undefined;
  #heldBack = 0;
  #isOver = false;
  #error: unknown;

  constructor(id: number, link: ThreadLink, { signal, lends = false }: GetRequest) {
    this.#id = id;
    this.#link = link;
    this.#lends = lends;
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** @throws as `get` does */
  get response(): Promise<GetResponse> {
    return this.#head.promise;
  }

  get heldBack(): number {
    return this.#heldBack;
  }

  async read(): ReturnType<BodyReader["read"]> {
    if (!this.#isOver) await byteTurns.begin();
    if (this.#isOver) this.#giveBack();
    else {
      this.#reading = Promise.withResolvers();
      this.#link.post({ kind: "read", id: this.#id, freed: this.#lent?.at });
      this.#lent = undefined;
      const value = await this.#reading.promise;
      if (value) return { done: false, value };
    }
    if (this.#error !== undefined) throw this.#error;
    return { done: true };
  }

  async cancel(): Promise<void> {
    this.#end(undefined);
    this.#giveBack();
  }

  onHead({ status, headers }: About<"head">): void {
    const fields = new Headers();
    for (const [name, value] of headers) fields.append(name, value);
    this.#head.resolve({ status, headers: fields, body: this });
  }

  onBytes({ part, heldBack }: About<"bytes">): void {
    this.#heldBack = heldBack;
    const bytes = new Uint8Array(this.#link.shared, part.at, part.length);
    this.#lent = part;
    if (this.#lends) {
      this.#reading?.resolve(bytes);
      return;
    }
    this.#reading?.resolve(new Uint8Array(bytes));
    this.#giveBack();
  }

  onHeldBack({ milliseconds }: About<"held-back">): void {
    this.#heldBack = milliseconds;
  }

  onEnd(): void {
    this.#close(undefined);
  }

  onFailed({ message, code }: About<"failed">): void {
    this.#close(new RemoteError(message, code));
  }

  /** The thread has ended. */
  onLost(): void {
    this.#close(new ConnectionsLost());
  }

  /** Wants nothing more. */
  #end(error: unknown): void {
    if (!this.#isOver) this.#link.post({ kind: "cancel", id: this.#id });
    this.#close(error);
  }

  #close(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#link.ended(this.#id);
    this.#head.reject(error);
    if (error === undefined) this.#reading?.resolve(undefined);
    else this.#reading?.reject(error);
  }

  #giveBack(): void {
    if (this.#lent) this.#link.post({ kind: "free", at: this.#lent.at });
    this.#lent = undefined;
  }
}
