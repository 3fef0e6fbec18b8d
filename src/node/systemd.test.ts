import { expect, test } from "bun:test";
import { FakeFiles } from "./nodetest/fake-files.ts";
import { readUnit, sparesContainers } from "./systemd.ts";

const name = "containerd.service";
const unit = "[Service]\nExecStart=/usr/bin/containerd\nKillMode=process\n";
const usr = `/usr/lib/systemd/system/${name}`;

const cases: [what: string, files: Record<string, string>, killMode: string, spares: boolean][] = [
  ["the package's unit", { [usr]: unit }, "process", true],
  ["systemd's own default", { [usr]: "[Service]\nExecStart=/x\n" }, "control-group", false],
  [
    "a unit in /etc before the package's",
    { [usr]: unit, [`/etc/systemd/system/${name}`]: "[Service]\n" },
    "control-group",
    false,
  ],
  [
    "a drop-in",
    {
      [usr]: unit,
      [`/etc/systemd/system/${name}.d/10-kill.conf`]: "[Service]\nKillMode = mixed\n",
    },
    "mixed",
    false,
  ],
  [
    "the last of two drop-ins",
    {
      [usr]: unit,
      [`/etc/systemd/system/${name}.d/a.conf`]: "KillMode=mixed\n",
      [`/usr/lib/systemd/system/${name}.d/b.conf`]: "KillMode=none\n",
    },
    "none",
    true,
  ],
  [
    "a drop-in that another of its name hides",
    {
      [usr]: unit,
      [`/etc/systemd/system/${name}.d/a.conf`]: "\n",
      [`/usr/lib/systemd/system/${name}.d/a.conf`]: "KillMode=mixed\n",
    },
    "process",
    true,
  ],
  [
    "a drop-in that goes back to the default",
    { [usr]: unit, [`/run/systemd/system/${name}.d/a.conf`]: "KillMode=\n" },
    "control-group",
    false,
  ],
];

test.each(cases)("%s", (_, files, killMode, spares) => {
  const found = readUnit(new FakeFiles(files), name);
  expect(found?.killMode).toBe(killMode);
  expect(found && sparesContainers(found)).toBe(spares);
});

test("a machine without the unit has none", () => {
  expect(readUnit(new FakeFiles({}), name)).toBeUndefined();
});
