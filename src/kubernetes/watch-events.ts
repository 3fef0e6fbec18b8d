import { isObject } from "../oci/json-object.ts";
import { statusError } from "./api-client.ts";
import { KubernetesError } from "./kubernetes-error.ts";

/** In characters: an object has at most 1.5 MiB in etcd. */
const MAX_LINE = 4 * 1024 * 1024;

/** A change of one object; a bookmark says only how far all changes have come. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: Readonly<Record<string, unknown>>;
  readonly resourceVersion: string;
}

const TYPES: ReadonlySet<string> = new Set(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]);

/**
 * Reads the events of a watch, one JSON object a line, however the lines are cut into chunks.
 *
 * @param what for messages: the path that is watched
 * @throws KubernetesError `gone` if the version is too old, `failed` for any other error or for what is no event
 */
export async function* watchEvents(
  body: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<WatchEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", start)) {
      const event = parseEvent(rest.slice(start, end), what);
      start = end + 1;
      if (event) yield event;
    }
    rest = rest.slice(start);
    if (rest.length > MAX_LINE) throw invalid(what, "a line is longer than 4 MiB");
  }
}

/** Kinds of events that are not known here are left out. */
function parseEvent(line: string, what: string): WatchEvent | undefined {
  if (line.trim() === "") return undefined;
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    throw invalid(what, "a line is not JSON");
  }
  if (!isObject(event)) throw invalid(what, "a line is no event");
  const { type, object } = event;
  if (!isObject(object)) throw invalid(what, "an event has no object");
  if (type === "ERROR") {
    const { code, message } = object;
    const status = typeof code === "number" ? code : 500;
    throw statusError(status, `the watch of ${what}`, typeof message === "string" ? message : "");
  }
  const { metadata } = object;
  const version = isObject(metadata) ? metadata["resourceVersion"] : undefined;
  if (typeof type !== "string" || !TYPES.has(type)) return undefined;
  if (typeof version !== "string" || version === "") {
    throw invalid(what, "an event has no resourceVersion");
  }
  // One of TYPES, which are those of WatchEvent.
  return { type: type as WatchEvent["type"], object, resourceVersion: version };
}

function invalid(what: string, why: string): KubernetesError {
  return new KubernetesError("failed", `the watch of ${what} is not valid: ${why}`);
}
