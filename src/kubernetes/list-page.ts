import { eachBatch } from "../oci/json-elements.ts";
import { isObject } from "../oci/json-object.ts";
import { KubernetesError } from "./kubernetes-error.ts";

/** What is beside the items of a list: some hundred bytes. */
const MAX_REST = 64 * 1024;

/** The end of a page of a list. */
export interface PageEnd {
  /** The version of the whole list, from which a watch goes on. */
  readonly resourceVersion: string;
  /** Of the next page; absent on the last one. */
  readonly next?: string;
}

/**
 * Parses a page of a list, in batches between which other work runs: a page of pods is a megabyte.
 *
 * @throws KubernetesError if it is no list
 */
export async function readListPage(text: string, take: (item: unknown) => void): Promise<PageEnd> {
  try {
    let [first, last] = [-1, -1];
    await eachBatch(text, "items", (start, end) => {
      if (first < 0) first = start;
      last = end;
      const batch: unknown = JSON.parse(`[${text.slice(start, end)}]`);
      // Text in brackets is an array, or JSON.parse throws.
      for (const item of batch as unknown[]) take(item);
    });
    const rest = first < 0 ? text : text.slice(0, first) + text.slice(last);
    if (rest.length > MAX_REST) throw new SyntaxError("it has more than its items");
    const list: unknown = JSON.parse(rest);
    const metadata = isObject(list) ? list["metadata"] : undefined;
    const version = isObject(metadata) ? metadata["resourceVersion"] : undefined;
    if (!isObject(metadata) || typeof version !== "string" || version === "") {
      throw new SyntaxError("it has no resourceVersion");
    }
    const next = metadata["continue"];
    return {
      resourceVersion: version,
      ...(typeof next === "string" && next !== "" ? { next } : {}),
    };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    const message = `the Kubernetes API sent what is no list: ${cause.message}`;
    throw new KubernetesError("failed", message, { cause });
  }
}
