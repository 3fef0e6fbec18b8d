const NEXT = /<([^<>]{1,4096})>\s*;[^,]*\brel\s*=\s*"?next"?/i;

/** The target of a Link header's `rel="next"` (RFC 8288), as it was written. */
export function nextLink(header: string | null): string | undefined {
  return NEXT.exec(header ?? "")?.[1];
}
