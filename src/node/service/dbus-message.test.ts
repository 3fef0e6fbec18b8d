import { expect, test } from "bun:test";
import { decodeMessage, encodeCall } from "./dbus-message.ts";

const call = encodeCall(
  {
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "RestartUnit",
    args: ["containerd.service", "replace"],
  },
  7,
);

/** A method return with one object path, as RestartUnit has it. */
const RETURN = message(
  2,
  [
    [5, "u", 7],
    [8, "g", "o"],
  ],
  ["/org/freedesktop/systemd1/job/38"],
);

/** Writes a message of which only strings, and numbers for `u`, are the values. */
function message(
  type: number,
  fields: readonly (readonly [code: number, type: string, value: string | number])[],
  body: readonly (string | number)[],
): Uint8Array {
  const bytes = (
    values: readonly (readonly [type: string, value: string | number])[],
  ): number[] => {
    const out: number[] = [];
    for (const [kind, value] of values) {
      const align = kind === "(" ? 8 : kind === "g" || kind === "y" ? 1 : 4;
      while (out.length % align !== 0) out.push(0);
      const text = Buffer.from(String(value));
      if (kind === "y") out.push(Number(value));
      if (kind === "u") out.push(...word(Number(value)));
      if (kind === "g") out.push(text.length, ...text, 0);
      if (kind === "s") out.push(...word(text.length), ...text, 0);
    }
    return out;
  };
  const head = bytes(
    fields.flatMap(([code, kind, value]) => [
      ["(", 0],
      ["y", code],
      ["g", kind],
      [kind === "o" ? "s" : kind, value],
    ]),
  );
  const end = bytes(body.map((value) => [typeof value === "number" ? "u" : "s", value]));
  const padding = Array.from({ length: (8 - (head.length % 8)) % 8 }, () => 0);
  const fixed = [0x6c, type, 0, 1, ...word(end.length), ...word(9), ...word(head.length)];
  return Uint8Array.from([...fixed, ...head, ...padding, ...end]);
}

function word(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
}

test("a call is written byte for byte as the specification has it", () => {
  const expected = message(
    1,
    [
      [1, "o", "/org/freedesktop/systemd1"],
      [2, "s", "org.freedesktop.systemd1.Manager"],
      [3, "s", "RestartUnit"],
      [6, "s", "org.freedesktop.systemd1"],
      [8, "g", "ss"],
    ],
    ["containerd.service", "replace"],
  );
  expected[8] = 7;
  expect(Buffer.from(call).toString("hex")).toBe(Buffer.from(expected).toString("hex"));
});

test("a message is read once it is complete, whatever follows it", () => {
  for (let length = 0; length < RETURN.length; length += 1)
    expect(decodeMessage(RETURN.subarray(0, length))).toBeUndefined();
  const found = decodeMessage(Buffer.concat([RETURN, call]));
  expect(found?.length).toBe(RETURN.length);
  expect(found?.message).toMatchObject({
    type: "return",
    replyTo: 7,
    values: ["/org/freedesktop/systemd1/job/38"],
  });
});

test("the values of a signal, and of an error, are read", () => {
  const removed = message(
    4,
    [
      [3, "s", "JobRemoved"],
      [8, "g", "uoss"],
    ],
    [38, "/org/freedesktop/systemd1/job/38", "containerd.service", "done"],
  );
  expect(decodeMessage(removed)?.message).toMatchObject({
    member: "JobRemoved",
    values: [38, "/org/freedesktop/systemd1/job/38", "containerd.service", "done"],
  });
  const refused = message(
    3,
    [
      [4, "s", "org.freedesktop.DBus.Error.AccessDenied"],
      [5, "u", 7],
      [8, "g", "s"],
    ],
    ["no"],
  );
  expect(decodeMessage(refused)?.message).toMatchObject({
    type: "error",
    error: "org.freedesktop.DBus.Error.AccessDenied",
    values: ["no"],
  });
});

const damaged: [name: string, change: (bytes: Uint8Array) => void, message: string][] = [
  ["big-endian", (bytes) => (bytes[0] = 0x42), "not little-endian"],
  ["of no type", (bytes) => (bytes[1] = 9), "has the type 9"],
  ["endless", (bytes) => (bytes[7] = 0x7f), "bytes"],
  ["with a field that is longer than it", (bytes) => (bytes[28] = 0xff), "ends too early"],
];

test.each(damaged)("a message %s is refused", (_, change, reason) => {
  const bytes = Uint8Array.from(RETURN);
  change(bytes);
  expect(() => decodeMessage(bytes)).toThrow(reason);
});
