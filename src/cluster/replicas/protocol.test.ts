import { expect, test } from "bun:test";
import { parseQuestion, targetOf } from "./protocol.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const PLACE = "upstream=reg.test:5000&repository=library/app";

const parse = (target: string) => parseQuestion(new URL(target, "http://10.0.0.7:5002"));

test.each([
  `/entrepot/v1/replica/blobs/${DIGEST}?${PLACE}`,
  `/entrepot/v1/replica/blobs/${DIGEST}?${PLACE}&size=0`,
  `/entrepot/v1/replica/blobs/${DIGEST}?${PLACE}&size=123&here=1`,
  `/entrepot/v1/replica/manifests/${DIGEST}?${PLACE}&here=1`,
  `/entrepot/v1/replica/blobs/${DIGEST}?${PLACE}&silent=http://10.0.0.8:5002&silent=http://10.0.0.9:5002`,
])("%s is what is sent for what it is parsed to", (target) => {
  const question = parse(target);
  expect(question && decodeURIComponent(targetOf(question))).toBe(target);
});

test.each([
  `/entrepot/v1/replica/blobs/${DIGEST}`,
  `/entrepot/v1/replica/blobs/${DIGEST}?upstream=reg.test`,
  `/entrepot/v1/replica/blobs/${DIGEST}?upstream=reg.test&repository=../app`,
  `/entrepot/v1/replica/blobs/${DIGEST}?upstream=reg%0Atest&repository=app`,
  `/entrepot/v1/replica/blobs/${DIGEST}?${PLACE}&size=-1`,
  `/entrepot/v1/replica/blobs/${DIGEST}?${PLACE}&size=1e9`,
  `/entrepot/v1/replica/blobs/sha256:0?${PLACE}`,
  `/entrepot/v1/replica/blobs/..%2f${DIGEST}?${PLACE}`,
  `/entrepot/v1/replica/tags/${DIGEST}?${PLACE}`,
  `/entrepot/v1/other/blobs/${DIGEST}?${PLACE}`,
])("%s is no question", (target) => {
  expect(parse(target)).toBeUndefined();
});
