import { expect, test } from "bun:test";
import { freeBytes } from "./free-bytes.ts";

test("bytes that have a buffer of their own are freed, and a view frees nothing", async () => {
  const whole = await new Blob(["abc"]).bytes();
  const view = whole.subarray(1);
  freeBytes(view);
  expect(whole).toEqual(Uint8Array.of(97, 98, 99));
  freeBytes(whole);
  expect([whole.byteLength, view.byteLength]).toEqual([0, 0]);
});
