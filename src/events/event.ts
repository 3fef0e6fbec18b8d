import type { EventType } from "../config/operator/event-settings.ts";

interface TagName {
  readonly upstream: string;
  readonly repository: string;
  readonly tag: string;
}

/** What an operator decided of tags. */
interface OverrideData {
  readonly id: string;
  readonly kind: string;
  readonly pattern: string;
  readonly digest?: string;
  readonly by: string;
  readonly reason: string;
}

/** What an event says, by its type. Each has a sentence for people beside its fields. */
interface EventData {
  readonly "upstream.limited": { readonly upstream: string };
  readonly "upstream.unavailable": { readonly upstream: string; readonly reason?: string };
  readonly "upstream.recovered": { readonly upstream: string };
  readonly "disk.full": { readonly reason: string };
  readonly "disk.recovered": unknown;
  readonly "blob.corrupt": { readonly digest: string };
  readonly "tag.moved": {
    readonly upstream: string;
    readonly repository: string;
    readonly tag: string;
    readonly digest: string;
    readonly previousDigest: string;
  };
  readonly "image.first-seen": {
    readonly upstream: string;
    readonly repository: string;
    readonly tag: string;
    readonly digest: string;
  };
  /** A tag is not served as its registry says, for a reason that is new. */
  readonly "tag.held": TagName & {
    /** What is held back. */
    readonly digest?: string;
    readonly because: string;
    /** When that ends by itself, as ISO 8601. */
    readonly until?: string;
  };
  /** By an operator, or by itself. */
  readonly "tag.released": TagName & { readonly by?: string };
  readonly "override.made": OverrideData;
  readonly "override.ended": OverrideData;
  readonly "readiness.fell": {
    readonly upstream: string;
    /** The share of wanted images that would start with this upstream down, and the share before. */
    readonly ratio: number;
    readonly previousRatio: number;
    /** Images that would not start: the first ones. */
    readonly missing: readonly string[];
  };
  readonly "node.unwired": { readonly address: string; readonly name?: string };
  /** Sent on request alone. */
  readonly test: unknown;
}

type Known = EventType | "test";

/** What has happened, as its observer tells it. */
export type NewEvent = {
  readonly [Type in Known]: {
    readonly type: Type;
    /** What it is about: an upstream, an image, a digest, an address. */
    readonly subject?: string;
    readonly data: EventData[Type] & { readonly message: string };
  };
}[Known];

/** An event as it is queued and sent. */
export interface Event {
  /** The same at each attempt, so that receivers can tell a repetition. */
  readonly id: string;
  readonly type: string;
  readonly subject?: string | undefined;
  /** In milliseconds since the epoch. */
  readonly at: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Where events are told. Never throws and never blocks. */
export type TellEvent = (event: NewEvent) => void;
