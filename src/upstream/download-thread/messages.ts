/** Bytes in the memory that both threads share. */
export interface Part {
  readonly at: number;
  readonly length: number;
}

/** What the main thread tells the download thread. A download has a number, which is never used again. */
export type ToThread =
  | {
      readonly kind: "begin";
      /** Where the bytes of all downloads are handed over. */
      readonly shared: SharedArrayBuffer;
      /** Of the byte budget. */
      readonly limit: number;
    }
  | {
      readonly kind: "open-pool";
      readonly pool: number;
      /** Set for HTTPS. */
      readonly tls: Bun.TLSOptions | undefined;
    }
  /** Its idle connections are closed. */
  | { readonly kind: "close-pool"; readonly pool: number }
  /** Answered by `head` or `failed`. */
  | {
      readonly kind: "get";
      readonly id: number;
      readonly pool: number;
      readonly endpoint: { readonly ip: string; readonly port: number; readonly host: string };
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** Answered by `bytes`, `end` or `failed`. One at a time for each download. */
  | {
      readonly kind: "read";
      readonly id: number;
      /** As `free` says. */
      readonly freed: number | undefined;
    }
  /** The main thread does not use these bytes any more. */
  | { readonly kind: "free"; readonly at: number }
  /** Nothing more of the download is wanted, not even answers. */
  | { readonly kind: "cancel"; readonly id: number };

/** What the download thread tells the main thread. */
export type FromThread =
  | { readonly kind: "ready" }
  /** So many bytes were received and are not written yet. */
  | { readonly kind: "holds"; readonly bytes: number }
  | {
      readonly kind: "head";
      readonly id: number;
      readonly status: number;
      readonly headers: readonly (readonly [name: string, value: string])[];
    }
  /** They belong to the main thread until it frees them. */
  | { readonly kind: "bytes"; readonly id: number; readonly part: Part; readonly heldBack: number }
  | { readonly kind: "end"; readonly id: number }
  | {
      readonly kind: "failed";
      readonly id: number;
      readonly message: string;
      readonly code: string | undefined;
    }
  /** Of a `read` that is not answered yet: see `BodyReader.heldBack`. */
  | { readonly kind: "held-back"; readonly id: number; readonly milliseconds: number };
