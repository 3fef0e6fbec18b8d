import { expect, test } from "bun:test";
import { claimOf, nameIn } from "./order-options.ts";

const USERS = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\n";

test("who types is known by number, also where no variable names them", () => {
  expect([0, 1000, 4711].map((uid) => nameIn(USERS, uid))).toEqual(["root", "ada", undefined]);
  expect(claimOf({})).not.toStartWith("unknown@");
});

test("who types by sudo is who became root", () => {
  expect(claimOf({ SUDO_USER: "ada" })).toStartWith("ada@");
});
