import { redactLine } from "./redact.ts";

/** Beginnings and ends of lines that were written a moment ago, of each as many. */
const KNOWN = 1024;

/** Longer values are made ready each time: memory is not for them. */
const LONGEST = 512;

/** What the log tells of a request. A field without a value is left out. */
export interface RequestLine {
  readonly method: string;
  readonly path: string;
  readonly namespace: string | undefined;
  readonly status: number;
  readonly bytes: number;
  /** From its arrival to its end, in milliseconds; a tenth of one is shown. */
  readonly ms: number;
  readonly cache: string | undefined;
  readonly client: string;
  readonly agent: string;
  readonly error: string | undefined;
}

type Head = Pick<RequestLine, "method" | "path" | "namespace" | "status" | "bytes">;
type Tail = Pick<RequestLine, "cache" | "client" | "agent">;

/**
 * Lines for what is logged with every answer, in the form that the log itself writes, at a tenth of
 * what it costs there: the same few clients ask for the same few things, and what was quoted and
 * freed of secrets once is taken as it was then.
 */
export class RequestLines {
  readonly #heads = new Map<string, Head & { readonly text: string }>();
  readonly #tails = new Map<string, Tail & { readonly text: string }>();
  #second = 0;
  #clock = "";

  /** A line of level `info`. @param now milliseconds of the epoch */
  format(now: number, line: RequestLine): string {
    const tenths = Math.round(line.ms * 10);
    // Whole numbers are turned into text at a fraction of what others cost.
    const ms = tenths % 10 === 0 ? tenths / 10 : `${Math.floor(tenths / 10)}.${tenths % 10}`;
    const error = line.error === undefined ? "" : field("error", line.error);
    return `{"level":"info","time":"${this.#time(now)}"${this.#head(line)},"ms":${ms}${this.#tail(line)}${error},"msg":"request"}\n`;
  }

  #head({ method, path, namespace, status, bytes }: Head): string {
    const known = this.#heads.get(path);
    if (
      known?.method === method &&
      known.namespace === namespace &&
      known.status === status &&
      known.bytes === bytes
    ) {
      return known.text;
    }
    const named = `${field("method", method)}${field("path", path)}`;
    const text = `${named}${optional("namespace", namespace)},"status":${status},"bytes":${bytes}`;
    remember(this.#heads, path, { method, path, namespace, status, bytes, text });
    return text;
  }

  #tail({ cache, client, agent }: Tail): string {
    const known = this.#tails.get(agent);
    if (known?.client === client && known.cache === cache) return known.text;
    const text = `${optional("cache", cache)}${field("client", client)}${field("agent", agent)}`;
    remember(this.#tails, agent, { cache, client, agent, text });
    return text;
  }

  #time(now: number): string {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#clock = new Date(second * 1000).toISOString().slice(0, -"000Z".length);
    }
    return `${this.#clock}${String(now - second * 1000).padStart(3, "0")}Z`;
  }
}

function remember<Part extends { readonly text: string }>(
  parts: Map<string, Part>,
  key: string,
  part: Part,
): void {
  if (part.text.length > LONGEST) return;
  // Now and then all of them: what is asked for often is known again at once.
  if (parts.size >= KNOWN) parts.clear();
  parts.set(key, part);
}

function optional(name: string, value: string | undefined): string {
  return value === undefined ? "" : field(name, value);
}

/** `,"name":"value"` without secrets: each field by itself is what a whole line's would be. */
function field(name: string, value: string): string {
  return redactLine(`,"${name}":${JSON.stringify(value)}`);
}
