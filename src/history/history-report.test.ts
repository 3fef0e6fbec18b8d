import { expect, test } from "bun:test";
import type { Beat } from "../api/overview.ts";
import { type Figures, NO_FIGURES } from "../store/history-store.ts";
import { beatOf } from "./history-report.ts";

test.each<[Partial<Figures>, Beat]>([
  [{}, "idle"],
  [{ cacheable: 100, from_cache: 100 }, "idle"],
  [{ answered: 1 }, "ok"],
  [{ answered: 100, failed: 1 }, "ok"],
  [{ answered: 90, failed: 10 }, "failed"],
  [{ failed: 1 }, "failed"],
  [{ answered: 100, limited: 1 }, "limited"],
  [{ failed: 5, limited: 1 }, "limited"],
])("a half hour of %j is %s", (figures, beat) => {
  expect(beatOf({ ...NO_FIGURES, ...figures })).toBe(beat);
});
