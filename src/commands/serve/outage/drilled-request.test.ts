import { expect, test } from "bun:test";
import { imageName, parseImageReference } from "../../../oci/image-reference.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import { drilledRequest } from "./drilled-request.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

function recordOf(changes: Partial<RequestRecord>, image = "reg.test/app:1"): RequestRecord {
  const reference = parseImageReference(image);
  if (!reference) throw new Error(`${image} is not valid: ${image}`);
  const { upstream, repository, tag, digest } = reference;
  const route = { repo: { upstream, repository }, reference: digest ?? tag, kind: "manifest" };
  return {
    method: "GET",
    path: "/v2/",
    address: "10.0.0.1",
    userAgent: "",
    status: 200,
    bytes: 1,
    milliseconds: 1,
    millisecondsToFirstByte: 1,
    // Only these parts of a route are read.
    route: route as NonNullable<RequestRecord["route"]>,
    ...changes,
  };
}

test.each([
  [{ result: "hit" }, "served"],
  [{ result: "stale" }, "stale"],
  [{ status: 502, error: "why" }, "failed"],
  [{ status: 504 }, "failed"],
  // The body broke off.
  [{ result: "miss", error: "why" }, "failed"],
] as const)("a request with %j was %s", (changes, outcome) => {
  expect(drilledRequest(recordOf(changes))).toMatchObject({
    upstream: "reg.test",
    image: "reg.test/app:1",
    outcome,
  });
});

test("what is not valid, or about no repository, is no request of a drill", () => {
  expect(drilledRequest(recordOf({ status: 404, error: "why" }))).toBeUndefined();
  expect(drilledRequest(recordOf({ route: { kind: "base" } }))).toBeUndefined();
});

test("a request by digest is named as images are", () => {
  const name = `reg.test/app@${DIGEST}`;
  const image = parseImageReference(name);
  expect(drilledRequest(recordOf({}, name))?.image).toBe(image && imageName(image));
});
