import { expect, test } from "bun:test";
import { mayHardLink } from "./link-policy.ts";

const root = { uid: 0, gid: 0 };
const cache = { uid: 4400, gid: 4400 };
const other = { uid: 4321, gid: 4321 };

test.each([
  ["own file", { ...cache, mode: 0o600 }, cache, true, true],
  [
    "own file of another group, which a chown would change",
    { ...cache, gid: 0, mode: 0o600 },
    cache,
    false,
    true,
  ],
  ["own file that others may write to", { ...cache, mode: 0o666 }, cache, false, true],
  ["own file without read permission", { ...cache, mode: 0o044 }, cache, false, false],
  ["root's file", { ...root, mode: 0o644 }, cache, false, true],
  ["root's private file", { ...root, mode: 0o600 }, cache, false, false],
  ["another user's file for the group", { ...other, gid: 4400, mode: 0o640 }, cache, false, true],
  [
    "another user's file that the group may not read",
    { ...other, gid: 4400, mode: 0o604 },
    cache,
    false,
    false,
  ],
  [
    "root's file for root, whose store may become the unit's",
    { ...root, mode: 0o644 },
    root,
    false,
    true,
  ],
  ["another user's private file for root", { ...other, mode: 0o600 }, root, false, true],
])("%s", (_, file, owner, byDefault, ifWanted) => {
  expect([mayHardLink(file, owner), mayHardLink(file, owner, true)]).toEqual([byDefault, ifWanted]);
});
