import { expect, test } from "bun:test";
import { Accept } from "./accept.ts";
import { OCI_INDEX, OCI_MANIFEST } from "./media-types.ts";

test.each([
  [null, true],
  ["", true],
  ["*/*", true],
  ["application/*", true],
  [`${OCI_INDEX}, ${OCI_MANIFEST}`, true],
  [`${OCI_INDEX};q=0.5`, true],
  [`${OCI_INDEX};q=0`, false],
  [OCI_MANIFEST, false],
  ["text/html", false],
])("Accept %p allows an OCI image index: %p", (header, allowed) => {
  expect(new Accept(header).allows(OCI_INDEX)).toBe(allowed);
});
