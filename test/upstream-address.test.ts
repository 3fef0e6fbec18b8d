import { expect, test } from "bun:test";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { startDns } from "./harness/services/dns.ts";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

/** Public addresses, assigned to loopback in a network namespace: no packet leaves this machine. */
const [ADDRESS, NEW_ADDRESS] = ["93.184.215.14", "93.184.215.15"];
const IN_NAMESPACE = "ENTREPOT_NETWORK_OF_ITS_OWN";

const image = textImage({ text: "moved" });

async function setUp() {
  const dir = await tempDir("moved");
  const dns = await startDns(dir);
  const before = await startScriptedUpstream({ host: ADDRESS });
  const port = Number(before.address.split(":")[1]);
  before.add("app", image, "1");
  dns.answer("reg.example", ADDRESS);
  const upstreams = { "reg.example": { url: `http://reg.example:${port}`, tagTtl: "0s" } };
  const cache = await startEntrepot({ config: { upstreams }, program: dns.program });
  return {
    dns,
    before,
    port,
    get: (reference: string) => cache.get(`/v2/app/manifests/${reference}?ns=reg.example`),
    async [Symbol.asyncDispose]() {
      for (const one of [cache, before, dns, dir]) await one[Symbol.asyncDispose]();
    },
  };
}

if (process.env[IN_NAMESPACE] === "1") {
  test("DNS rebinding from a public address to 127.0.0.1 is refused", async () => {
    await using at = await setUp();
    let connections = 0;
    const victim = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    victim.listen(at.port, "127.0.0.1");
    await once(victim, "listening");
    expect((await at.get("1")).status).toBe(200);
    at.dns.answer("reg.example", "127.0.0.1");
    // The checked address is dialled, whatever DNS returns meanwhile.
    expect((await at.get("missing")).status).toBe(404);
    expect(at.before.requests({ reference: "missing" })).toHaveLength(1);
    await at.before.stop();
    const refused = await at.get("other");
    expect([refused.status, await refused.text()]).toEqual([
      502,
      expect.stringContaining("is 127.0.0.1, a loopback address, which is not dialled"),
    ]);
    expect((await at.get("1")).headers.get("cache-status")).toEndWith("detail=stale");
    expect(connections).toBe(0);
    victim.close();
  });

  test("an upstream that changes its address is reached by the next pull", async () => {
    await using at = await setUp();
    expect((await at.get("1")).status).toBe(200);
    await using after = await startScriptedUpstream({ host: NEW_ADDRESS, port: at.port });
    after.add("app", image, "2");
    at.dns.answer("reg.example", NEW_ADDRESS);
    await at.before.stop();
    expect((await at.get("2")).status).toBe(200);
    expect(after.requests({ reference: "2" }).map(({ headers }) => headers.get("host"))).toEqual([
      `reg.example:${at.port}`,
    ]);
  });
} else {
  realTest("the tests of changing addresses pass in a network namespace of their own", async () => {
    const addresses = [ADDRESS, NEW_ADDRESS].map((one) => `busybox ip addr add ${one}/32 dev lo`);
    const script = ["busybox ip link set lo up", ...addresses, 'exec "$0" "$@"'].join(" && ");
    const file = fileURLToPath(import.meta.url);
    const bun = [process.execPath, "test", "--timeout=60000", file];
    const run = Bun.spawn(["unshare", "-n", "sh", "-c", script, ...bun], {
      env: { ...process.env, [IN_NAMESPACE]: "1" },
      stdout: "pipe",
      stderr: "pipe",
    });
    const output = await Promise.all([run.stdout.text(), run.stderr.text()]);
    expect(output.join("\n")).toContain(" 2 pass\n 0 fail\n");
    expect(await run.exited).toBe(0);
  });
}
