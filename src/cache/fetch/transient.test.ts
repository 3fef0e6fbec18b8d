import { expect, test } from "bun:test";
import { Fault, type FaultKind, isLocalFault } from "../../oci/fault.ts";
import { isTransient, toFault } from "./transient.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: from the system`), { code });
}

const thrown: [what: string, error: unknown, kind: FaultKind][] = [
  ["a defect", new TypeError("undefined is not an object"), "internal"],
  ["an invalid range", new RangeError("bytes 5 to 3"), "internal"],
  ["a string", "thrown by mistake", "internal"],
  ["a failed read", systemError("EIO"), "storage"],
  ["a missing file", systemError("ENOENT"), "storage"],
  ["a full disk", systemError("ENOSPC"), "no-space"],
  ["a full quota", systemError("EDQUOT"), "no-space"],
  ["an error code of the runtime", systemError("ERR_STREAM_CANNOT_PIPE"), "internal"],
];

test.each(thrown)("%s becomes a local fault of the matching kind", (_, error, kind) => {
  const fault = toFault(error);
  expect(fault.detail.kind).toBe(kind);
  expect(fault.cause).toBe(error);
  expect(isLocalFault(fault)).toBe(true);
  expect(isTransient(fault)).toBe(false);
});

test("a fault is returned unchanged", () => {
  const fault = new Fault({ kind: "cancelled", reason: "the cache is shutting down" });
  expect(toFault(fault)).toBe(fault);
});
