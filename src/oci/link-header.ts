const NEXT = /<([^<>]{1,4096})>\s*;[^,]*\brel\s*=\s*"?next"?/i;

/** The target of a Link header's `rel="next"` (RFC 8288), unresolved: it may be a relative reference. */
export function nextLink(header: string | null): string | undefined {
  return NEXT.exec(header ?? "")?.[1];
}
