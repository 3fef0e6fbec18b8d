/** A target and its parameters. It matches in linear time: no part can begin inside another one. */
const LINK = /<([^<>]{1,4096})>([^<>]*)/g;
const REL_NEXT = /;\s*rel\s*=\s*"?next(?:["\s;,]|$)/i;

/** The target of a Link header's `rel="next"` (RFC 8288), unresolved: it may be a relative reference. */
export function nextLink(header: string | null): string | undefined {
  for (const [, target, parameters = ""] of (header ?? "").matchAll(LINK)) {
    if (REL_NEXT.test(parameters)) return target;
  }
  return undefined;
}
