/** A byte range; both positions are inclusive and start at 0 (RFC 9110 section 14.1.2). */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** A parsed Range header, before the size of the blob is known. */
export type RangeRequest =
  | { readonly kind: "from"; readonly first: number; readonly last?: number }
  | { readonly kind: "suffix"; readonly length: number }
  | { readonly kind: "invalid"; readonly reason: string };

/** Several ranges of one header, in its order. */
export interface SeveralRanges {
  readonly kind: "several";
  /** Empty if one of them is invalid, or if there are too many: the header is then to be ignored. */
  readonly ranges: readonly RangeRequest[];
}

/** The most ranges in one request, which is also the most that podman asks for. */
const MAX_RANGES = 1024;

const SINGLE = /^(\d{0,15})-(\d{0,15})$/;

/**
 * Parses a Range header.
 *
 * @returns undefined if the header is absent or has another unit than bytes, which RFC 9110 section 14.2
 * requires a server to ignore
 */
export function parseRange(header: string | null): RangeRequest | SeveralRanges | undefined {
  const value = header?.trim().toLowerCase();
  if (!value?.startsWith("bytes=")) return undefined;
  const spec = value.slice("bytes=".length).trim();
  if (!spec.includes(",")) return parseSingle(spec);
  // Elements of a list may be empty (RFC 9110 section 5.6.1.2).
  const specs = spec.split(",").flatMap((element) => element.trim() || []);
  const [only] = specs;
  if (only !== undefined && specs.length === 1) return parseSingle(only);
  const ranges = specs.length > MAX_RANGES ? [] : specs.map(parseSingle);
  return { kind: "several", ranges: ranges.some(({ kind }) => kind === "invalid") ? [] : ranges };
}

function parseSingle(spec: string): RangeRequest {
  const match = SINGLE.exec(spec);
  const [first = "", last = ""] = match ? match.slice(1) : [];
  if (!match || (first === "" && last === "")) {
    return { kind: "invalid", reason: `${JSON.stringify(spec.slice(0, 64))} is not a byte range` };
  }
  if (first === "") return { kind: "suffix", length: Number(last) };
  if (last === "") return { kind: "from", first: Number(first) };
  if (Number(last) < Number(first))
    return { kind: "invalid", reason: "its end is before its start" };
  return { kind: "from", first: Number(first), last: Number(last) };
}

/** Resolves a range against a blob of `size` bytes. Returns undefined if it is unsatisfiable (416). */
export function resolveRange(request: RangeRequest, size: number): ByteRange | undefined {
  if (request.kind === "invalid") return undefined;
  if (request.kind === "suffix") {
    if (request.length === 0 || size === 0) return undefined;
    return { first: Math.max(0, size - request.length), last: size - 1 };
  }
  if (request.first >= size) return undefined;
  return { first: request.first, last: Math.min(request.last ?? size - 1, size - 1) };
}

/**
 * Resolves several ranges against a blob of `size` bytes: in the order of the request, without those
 * that are unsatisfiable, and with those that overlap united at the place of the first one. Ranges that
 * only touch stay apart: podman matches the parts of the response to its ranges by their number.
 */
export function resolveSeveral({ ranges }: SeveralRanges, size: number): ByteRange[] {
  const resolved = ranges.flatMap((range) => resolveRange(range, size) ?? []);
  const ascending = [...resolved.entries()].sort(([, one], [, other]) => one.first - other.first);
  const united: { place: number; first: number; last: number }[] = [];
  for (const [place, { first, last }] of ascending) {
    const previous = united.at(-1);
    if (previous && first <= previous.last) {
      previous.last = Math.max(previous.last, last);
      previous.place = Math.min(previous.place, place);
    } else {
      united.push({ place, first, last });
    }
  }
  united.sort((one, other) => one.place - other.place);
  return united.map(({ first, last }) => ({ first, last }));
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/;

/**
 * Parses the Content-Range header of a 206 response. `size` is absent if the sender does not know it (`*`).
 *
 * @returns undefined if the header is absent or invalid
 */
export function parseContentRange(
  header: string | null,
): (ByteRange & { size?: number }) | undefined {
  const match = CONTENT_RANGE.exec(header?.trim() ?? "");
  if (!match) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  if (last < first) return undefined;
  return match[3] === "*" ? { first, last } : { first, last, size: Number(match[3]) };
}
