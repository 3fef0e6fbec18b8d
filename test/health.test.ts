import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { makeCertificateAuthority } from "./harness/services/certificate-authority.ts";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { run } from "./harness/processes.ts";
import { tempDir } from "./harness/temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

test("health asks the node port whatever its certificate says, and passes no proxy on its way", async () => {
  await using dir = await tempDir("health");
  const authority = await makeCertificateAuthority(dir);
  const { certificateFile, keyFile } = await authority.sign("cache", "DNS:cache.example");
  await using cache = await startEntrepot({
    config: { tls: { certificate: certificateFile, key: keyFile } },
  });
  // Containers get the proxy of their registries in their environment. Nothing listens at this one.
  const env = { HTTP_PROXY: "http://127.0.0.1:1", HTTPS_PROXY: "http://127.0.0.1:1" };
  const flags = ["--config", cache.configFile, "--listen", cache.address];
  const health = () => run([PROGRAM, "health", ...flags], { env });
  const admin = ["--config", cache.configFile, "--admin", cache.adminAddress];
  const [well, status] = await Promise.all([health(), run([PROGRAM, "status", ...admin], { env })]);
  expect(well).toEqual({ code: 0, stdout: `${cache.url}/healthz responds\n`, stderr: "" });
  expect(status).toMatchObject({ stderr: "" });

  await cache.stop();
  const ill = await health();
  expect([ill.code, ill.stdout]).toEqual([1, ""]);
  expect(ill.stderr).toBe(
    `entrepot: ${cache.url}/healthz does not respond: nothing listens there\n`,
  );
  const wrong = await run([PROGRAM, "health", "--listen", "nonsense"]);
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("--listen")]);
});
