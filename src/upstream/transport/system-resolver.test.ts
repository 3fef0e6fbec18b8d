import { expect } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../test/harness/processes.ts";
import { realTest } from "../../../test/harness/real-components.ts";

/** Looks up names whose server never answers; then reads a file, and looks up a name that is known. */
const SCRIPT = `
  import { readFile } from "node:fs/promises";
  import { systemResolver } from ${JSON.stringify(join(import.meta.dir, "address.ts"))};
  await Bun.udpSocket({ hostname: "127.0.0.1", port: 53 });
  const resolver = systemResolver();
  const waiting = Array.from({ length: 40 }, (_, host) => resolver("host" + host + ".example.test"));
  const isAnswered = Promise.race(waiting).then(() => "answered", () => "failed");
  const read = (await readFile("/etc/hostname")).length > 0;
  const known = await resolver("localhost");
  console.log(read, known.length > 0, await Promise.race([isAnswered, "still waiting"]));
  process.exit();
`;

realTest("names whose DNS server hangs stop neither files nor other names", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "resolver-")), "resolv.conf");
  writeFileSync(file, "nameserver 127.0.0.1\n");
  const script = 'mount --bind "$1" /etc/resolv.conf && ip link set lo up && exec "$2" -e "$3"';
  const { stdout, stderr } = await run(
    ["unshare", "-mn", "sh", "-c", script, "sh", file, process.execPath, SCRIPT],
    { env: { UV_THREADPOOL_SIZE: "4" } },
  );
  expect([stdout, stderr]).toEqual(["true true still waiting\n", ""]);
});
