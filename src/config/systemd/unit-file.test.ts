import { expect, test } from "bun:test";
import { configErrorOf } from "../configtest/load-text.ts";
import { QUADLET_LINES, SYSTEMD_LINES, UnitFile } from "./unit-file.ts";

const TEXT = `# comment
; comment
[Service]
Environment=A=1
Environment = B=2
ExecStart=one \\
  # a comment in a continued line
  two\\

three=3
Environment=
Environment=C=3

[Install]
WantedBy=a
[Service]
User=x
`;

const valuesOf = (unit: UnitFile, key: string) =>
  unit.all("Service", key).map(({ value, at }) => `${at.line} ${value}`);

test("sections are merged, lines joined, and an empty value discards those before it", () => {
  const unit = UnitFile.parse("f", TEXT.replaceAll("\n", "\r\n"), SYSTEMD_LINES);
  expect(valuesOf(unit, "Environment")).toEqual(["12 C=3"]);
  expect(valuesOf(unit, "ExecStart")).toEqual(["6 one  two"]);
  expect(valuesOf(unit, "three")).toEqual(["10 3"]);
  expect(unit.last("Service", "User")?.value).toBe("x");
  expect(unit.keys("Install")).toEqual(["WantedBy"]);
});

test("Quadlet joins lines over empty ones and without a space", () => {
  const unit = UnitFile.parse("f", TEXT, QUADLET_LINES);
  expect(valuesOf(unit, "ExecStart")).toEqual(["6 one twothree=3"]);
});

test("a drop-in adds to a list, and empties it", () => {
  const unit = UnitFile.parse("f", "[S]\nA=1\nB=1\n", SYSTEMD_LINES).with([
    UnitFile.parse("g", "[S]\nA=2\nB=\nB=2\n", SYSTEMD_LINES),
  ]);
  const valuesIn = (key: string) =>
    unit.all("S", key).map(({ value, at }) => `${at.file} ${value}`);
  expect([valuesIn("A"), valuesIn("B")]).toEqual([["f 1", "g 2"], ["g 2"]]);
});

test("lines that are neither section nor assignment are problems", () => {
  expect(configErrorOf(() => UnitFile.parse("f", "A=1\n[S]\nno\n[T\n=x\n", SYSTEMD_LINES))).toBe(
    `f:1:1: is not in a [Section]
f:3:1: "no" is neither a [Section] nor a Key=value
f:4:1: "[T" is neither a [Section] nor a Key=value
f:5:1: "=x" is neither a [Section] nor a Key=value`,
  );
});
