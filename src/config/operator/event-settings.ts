/** What can happen that operators are told of. */
export const EVENT_TYPES = [
  "upstream.limited",
  "upstream.unavailable",
  "upstream.recovered",
  "disk.full",
  "disk.recovered",
  "blob.corrupt",
  "tag.moved",
  "image.first-seen",
  "tag.held",
  "tag.released",
  "override.made",
  "override.ended",
  "readiness.fell",
  "node.unwired",
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

/** How an event is sent: as Standard Webhooks have it, or as CloudEvents in either of their modes over HTTP. */
export const EVENT_FORMATS = ["standard", "cloudevents", "cloudevents-binary"] as const;

export type EventFormat = (typeof EVENT_FORMATS)[number];

/** A receiver of events. */
export interface WebhookSettings {
  readonly name: string;
  readonly url: URL;
  readonly format: EventFormat;
  /** Keys for signatures. While one is replaced, there are two, and events are signed with both. */
  readonly secrets: readonly string[];
  /** What it is told of. Absent: everything. */
  readonly types?: readonly EventType[];
  /** CA certificates to trust in addition to the public ones, as PEM text. */
  readonly ca?: string;
}

export interface EventSettings {
  /** Names this cache: the `source` of CloudEvents. */
  readonly source: string;
  readonly webhooks: readonly WebhookSettings[];
}
