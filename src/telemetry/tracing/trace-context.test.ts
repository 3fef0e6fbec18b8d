import { expect, test } from "bun:test";
import { newSpanId, newTraceId, parseTraceparent } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const context = { traceId: TRACE, spanId: SPAN };

const cases: [text: string, parsed: ReturnType<typeof parseTraceparent>][] = [
  [`00-${TRACE}-${SPAN}-01`, { ...context, isSampled: true }],
  [`00-${TRACE}-${SPAN}-00`, { ...context, isSampled: false }],
  // Other flags are reserved.
  [`00-${TRACE}-${SPAN}-03`, { ...context, isSampled: true }],
  [`00-${TRACE}-${SPAN}-fe`, { ...context, isSampled: false }],
  // Later versions may have more fields.
  [`cc-${TRACE}-${SPAN}-01-more`, { ...context, isSampled: true }],
  [`cc-${TRACE}-${SPAN}-01`, { ...context, isSampled: true }],
  [`00-${TRACE}-${SPAN}-01-more`, undefined],
  [`cc-${TRACE}-${SPAN}-01more`, undefined],
  [`ff-${TRACE}-${SPAN}-01`, undefined],
  [`00-${"0".repeat(32)}-${SPAN}-01`, undefined],
  [`00-${TRACE}-${"0".repeat(16)}-01`, undefined],
  [`00-${TRACE.toUpperCase()}-${SPAN}-01`, undefined],
  [`00-${TRACE.slice(1)}-${SPAN}-01`, undefined],
  [`00-${TRACE}-${SPAN}-1`, undefined],
  [`00-${TRACE}-${SPAN}`, undefined],
  ["", undefined],
  ["x".repeat(16_000), undefined],
];

test.each(cases)("the traceparent %j", (text, parsed) => {
  expect(parseTraceparent(text)).toEqual(parsed);
});

test("new ids are those of a traceparent", () => {
  expect(newTraceId()).toMatch(/^[\da-f]{32}$/);
  expect(newSpanId()).toMatch(/^[\da-f]{16}$/);
  expect(newTraceId()).not.toBe(newTraceId());
});
