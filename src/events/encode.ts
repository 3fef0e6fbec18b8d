import type { EventFormat } from "../config/operator/event-settings.ts";
import type { Event } from "./event.ts";

/** An event as the body and the headers of a request. */
export interface EncodedEvent {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** CloudEvents ask for a prefix in reversed DNS order. */
const PREFIX = "io.entrepot.";

/** @param source names this cache */
export function encodeEvent(format: EventFormat, event: Event, source: string): EncodedEvent {
  const { id, type, subject, at, data } = event;
  const timestamp = new Date(at).toISOString();
  if (format === "standard") {
    return { body: JSON.stringify({ type, timestamp, data }), headers: json("application/json") };
  }
  const attributes = {
    specversion: "1.0",
    id,
    source,
    type: PREFIX + type,
    ...(subject === undefined ? {} : { subject }),
    time: timestamp,
  };
  if (format === "cloudevents") {
    const body = JSON.stringify({ ...attributes, datacontenttype: "application/json", data });
    return { body, headers: json("application/cloudevents+json; charset=utf-8") };
  }
  const headers = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, escaped(value)]);
  return {
    body: JSON.stringify(data),
    headers: { ...json("application/json"), ...Object.fromEntries(headers) },
  };
}

function json(type: string): Record<string, string> {
  return { "content-type": type };
}

/**
 * As headers carry attributes: all but visible ASCII is percent-encoded, and so are `"` and `%` (CloudEvents
 * HTTP protocol binding, section 3.1.3.2).
 */
function escaped(value: string): string {
  return value.replace(/[^!#$&-~]+/gu, (text) =>
    [...Buffer.from(text, "utf8")]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}
