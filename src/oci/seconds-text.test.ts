import { expect, test } from "bun:test";
import { Fault } from "./fault.ts";
import { secondsText } from "./seconds-text.ts";

test.each([
  [14.999999608999934, "15 s"],
  [20, "20 s"],
  [1.5, "1.5 s"],
  [1.04, "1 s"],
  [9.96, "10 s"],
  [0.9999, "1 s"],
  [0.25, "250 ms"],
  [0.0199999, "20 ms"],
  [0, "0 ms"],
  [-0.001, "0 ms"],
  [86_400, "86400 s"],
])("%d seconds are %s", (seconds, text) => {
  expect(secondsText(seconds)).toBe(text);
});

test("the message of a timeout has a rounded time", () => {
  const waitedFor = "send response headers";
  const seconds = 14.999999608999934;
  const fault = new Fault({ kind: "upstream-timeout", upstream: "reg.test", waitedFor, seconds });
  expect(fault.message).toBe("reg.test did not send response headers within 15 s");
});
