import { expect, test } from "bun:test";
import { render } from "preact-render-to-string";
import { Held } from "./held.tsx";

test("of many, the first rows are shown, and what lists the rest", () => {
  const now = Date.UTC(2026, 10, 29);
  const overrides = Array.from({ length: 2000 }, (_, at) => ({
    id: String(at),
    kind: "freeze" as const,
    pattern: `reg.test/app-${at}:*`,
    asOf: now,
    reason: "an incident",
    by: "ann",
    since: now,
    isActive: true,
  }));
  const tags = Array.from({ length: 101 }, (_, at) => ({
    image: `reg.test/held-${at}:1`,
    hold: { because: "too-young" as const, text: "it moved" },
  }));
  const view = { page: "held" as const, held: { tags, unverified: [] }, overrides };
  const html = render(<Held view={view} mayChange={true} now={now} />);
  expect(html.match(/<tr data-override/g)).toHaveLength(100);
  expect(html.match(/<tr data-held/g)).toHaveLength(100);
  expect(html.replace(/<[^>]+>/g, "")).toContain(
    "The first 100 of 2000 are shown: entrepot overrides lists all.",
  );
  expect(html).toContain("reg.test/held-99:1");
});
