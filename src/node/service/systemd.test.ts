import { expect, test } from "bun:test";
import { FakeFiles } from "../nodetest/fake-files.ts";
import { readUnit, sparesContainers } from "./systemd.ts";

const UNIT = "containerd.service";
const unit = "[Service]\nExecStart=/usr/bin/containerd\nKillMode=process\n";
const usr = `/usr/lib/systemd/system/${UNIT}`;

const cases: [name: string, files: Record<string, string>, killMode: string, spares: boolean][] = [
  ["the package's unit sets KillMode", { [usr]: unit }, "process", true],
  [
    "a unit without KillMode has systemd's default",
    { [usr]: "[Service]\nExecStart=/x\n" },
    "control-group",
    false,
  ],
  [
    "a unit in /etc overrides the package's",
    { [usr]: unit, [`/etc/systemd/system/${UNIT}`]: "[Service]\n" },
    "control-group",
    false,
  ],
  [
    "a drop-in overrides the unit",
    {
      [usr]: unit,
      [`/etc/systemd/system/${UNIT}.d/10-kill.conf`]: "[Service]\nKillMode = mixed\n",
    },
    "mixed",
    false,
  ],
  [
    "the last of two drop-ins by name wins",
    {
      [usr]: unit,
      [`/etc/systemd/system/${UNIT}.d/a.conf`]: "KillMode=mixed\n",
      [`/usr/lib/systemd/system/${UNIT}.d/b.conf`]: "KillMode=none\n",
    },
    "none",
    true,
  ],
  [
    "a drop-in is masked by one of the same name in a directory of higher precedence",
    {
      [usr]: unit,
      [`/etc/systemd/system/${UNIT}.d/a.conf`]: "\n",
      [`/usr/lib/systemd/system/${UNIT}.d/a.conf`]: "KillMode=mixed\n",
    },
    "process",
    true,
  ],
  [
    "an empty KillMode in a drop-in resets it to the default",
    { [usr]: unit, [`/run/systemd/system/${UNIT}.d/a.conf`]: "KillMode=\n" },
    "control-group",
    false,
  ],
];

test.each(cases)("%s", (_, files, killMode, spares) => {
  const found = readUnit(new FakeFiles(files), UNIT);
  expect(found?.killMode).toBe(killMode);
  expect(found && sparesContainers(found)).toBe(spares);
});

test("a machine without the unit file has no unit", () => {
  expect(readUnit(new FakeFiles({}), UNIT)).toBeUndefined();
});
