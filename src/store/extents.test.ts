import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { ExtentMap } from "./extents.ts";

const LENGTH = 60;
const offset = fc.integer({ min: 0, max: LENGTH });
const step = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), first: offset, end: offset }),
  fc.record({ kind: fc.constant("removeBefore" as const), at: offset }),
  fc.record({ kind: fc.constant("removeFrom" as const), at: offset }),
);

test("a map of extents knows of each byte whether it is there", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), offset, offset, (steps, from, limit) => {
      const map = new ExtentMap();
      const model = new Set<number>();
      for (const one of steps) {
        if (one.kind === "add") {
          map.add(one.first, one.end);
          for (let at = one.first; at < one.end; at += 1) model.add(at);
        } else {
          map[one.kind](one.at);
          for (const at of model) {
            if (one.kind === "removeBefore" ? at < one.at : at >= one.at) model.delete(at);
          }
        }
      }
      const there = [...map].flatMap(({ first, end }) =>
        Array.from({ length: end - first }, (_, index) => first + index),
      );
      expect(there).toEqual([...model].toSorted((a, b) => a - b));
      expect(map.bytes).toBe(model.size);
      // Extents that touch each other are one.
      const extents = [...map];
      for (const [index, { first }] of extents.entries()) {
        expect(first).toBeGreaterThan(extents[index - 1]?.end ?? -1);
      }
      let end = from;
      while (model.has(end)) end += 1;
      expect(map.endFrom(from)).toBe(end);
      const gap = map.gapFrom(from, limit);
      expect(gap?.first).toBe(end < limit ? end : undefined);
      let gapEnd = end;
      while (gapEnd < limit && !model.has(gapEnd)) gapEnd += 1;
      if (gap) expect(gap.end).toBe(gapEnd);
      let gapStart = from;
      while (gapStart > 0 && !model.has(gapStart - 1)) gapStart -= 1;
      const isGap = !model.has(from) && from < limit;
      expect(map.gapAt(from, limit)).toEqual(isGap ? { first: gapStart, end: gapEnd } : undefined);
    }),
  );
});
