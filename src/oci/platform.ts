import { isObject } from "./json-object.ts";

/** What occurs in platforms, such as `wasip1` and `v8.2`. Names are printed: nothing that moves a cursor. */
const PART = /^[\w.+-]{1,64}$/;

/**
 * `os/architecture[/variant]` of a descriptor's `platform` or of an image's config. `undefined` if either
 * of the first two is missing: which platform that is, only a client can guess.
 */
export function platformName(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  const { os, architecture, variant } = value;
  if (!isPart(os) || !isPart(architecture)) return undefined;
  return [os, architecture, ...(isPart(variant) ? [variant] : [])].join("/");
}

function isPart(value: unknown): value is string {
  return typeof value === "string" && PART.test(value);
}
