import { expect, test } from "bun:test";
import { readPage } from "./listing.ts";
import { textOf } from "../../upstream/cloud/aws/xml-text.ts";
import { elementsOf } from "./xml.ts";

test.each([
  ["<a>1</a>", "1"],
  [
    "<b><a>x &lt;&amp;&gt; &#x41;&#66; &nbsp; &constructor;</a></b>",
    "x <&> AB &nbsp; &constructor;",
  ],
  ["<a>&#xFFFFFFF;&#9999999;</a>", "&#xFFFFFFF;&#9999999;"],
  ["<a></a>", ""],
  ["<a>1", undefined],
  ["a</a><a", undefined],
  ["", undefined],
  [`<a>${"x".repeat(16_384)}</a>`, "x".repeat(16_384)],
  [`<a>${"x".repeat(16_385)}</a>`, undefined],
])("the text in %p", (xml, text) => {
  expect(textOf(xml, "a")).toBe(text);
});

test("elements are found in order, up to the first that does not end", () => {
  expect(elementsOf("<a>1</a><b/><a><c>2</c></a><a>3", "a")).toEqual(["1", "<c>2</c>"]);
});

test("no more elements are looked at than S3 lists at once", () => {
  expect(elementsOf("<a></a>".repeat(1001), "a")).toHaveLength(1000);
});

test("of a page of keys, what is no entry is left out", () => {
  const entry = (key: string, size: string, date: string): string =>
    `<Contents><Key>${key}</Key><LastModified>${date}</LastModified><Size>${size}</Size></Contents>`;
  const entries = [
    entry("a", "1", "2026-11-28T12:00:00.000Z"),
    entry("b", "many", "2026-11-28T12:00:00.000Z"),
    entry("c", "1", "yesterday"),
    "<Contents></Contents>",
  ];
  const page = readPage(
    `<?xml version="1.0"?><ListBucketResult xmlns="x">${entries.join("")}<IsTruncated>true</IsTruncated></ListBucketResult>`,
  );
  const storedAt = Date.UTC(2026, 10, 28, 12);
  expect(page).toEqual({ entries: [{ key: "a", size: 1, storedAt }], isTruncated: true });
  expect(readPage("<html>welcome</html>")).toBeUndefined();
});
