import { describe, expect, test } from "bun:test";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { upstreamsIn } from "../src/config/configtest/import-text.ts";
import { importFiles } from "../src/config/import-files.ts";
import { readText } from "../src/config/parsing/read-text.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

async function setUp() {
  const upstream = await startScriptedUpstream();
  const dir = await tempDir("credentials");
  const image = textImage({ text: "private" });
  upstream.add("app", image, "1", "2");
  await mkdir(dir.file("bin"));
  const requireAuthorization = (accepted: () => string) =>
    upstream.respond(({ headers }) =>
      headers.get("authorization") === accepted()
        ? undefined
        : faults.unauthorized('Basic realm="reg"'),
    );
  return {
    upstream,
    dir,
    requireAuthorization,
    start: (auth: object, env: Record<string, string> = {}) =>
      startEntrepot({
        config: { upstreams: { "reg.test": { ...localUpstream(upstream.url), auth } } },
        env: { PATH: `${dir.file("bin")}:${process.env["PATH"]}`, ...env },
      }),
    async helper(script: string) {
      await writeFile(dir.file("bin/docker-credential-test"), `#!/bin/sh\n${script}\n`);
      await chmod(dir.file("bin/docker-credential-test"), 0o755);
      const text = JSON.stringify({ credHelpers: { "reg.test": "test" } });
      await writeFile(dir.file("config.json"), text);
      return { dockerConfig: dir.file("config.json") };
    },
    async [Symbol.asyncDispose]() {
      await upstream[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

const path = (tag: number): string => `/v2/app/manifests/${tag}?ns=reg.test`;

describe("credentials", () => {
  test.concurrent("are read from environment variables", async () => {
    await using at = await setUp();
    at.requireAuthorization(() => basic("me", "from env"));
    const auth = { usernameEnv: "REG_USER", passwordEnv: "REG_PASSWORD" };
    await using cache = await at.start(auth, { REG_USER: "me", REG_PASSWORD: "from env" });
    expect((await cache.get(path(1))).status).toBe(200);
  });

  test.concurrent(
    "are read from a Google service account key, with the user name _json_key",
    async () => {
      await using at = await setUp();
      const key = JSON.stringify({ type: "service_account", private_key: "a\nb:c" }, null, 2);
      at.requireAuthorization(() => basic("_json_key", key));
      await writeFile(at.dir.file("key.json"), `${key}\n`);
      const auth = { username: "_json_key", passwordFile: at.dir.file("key.json") };
      await using cache = await at.start(auth);
      expect((await cache.get(path(1))).status).toBe(200);
    },
  );

  test.concurrent(
    "are read from a Kubernetes Secret of type kubernetes.io/dockerconfigjson",
    async () => {
      await using at = await setUp();
      at.requireAuthorization(() => basic("me", "of:a:secret"));
      const text = Buffer.from("me:of:a:secret").toString("base64");
      const config = { auths: { "https://reg.test/v1/": { auth: text } } };
      await writeFile(at.dir.file(".dockerconfigjson"), JSON.stringify(config));
      await using cache = await at.start({ secretDir: at.dir.path });
      expect((await cache.get(path(1))).status).toBe(200);
    },
  );

  test.concurrent("are fetched from a credential helper once and then cached", async () => {
    await using at = await setUp();
    at.requireAuthorization(() => basic("AWS", "token"));
    const auth = await at.helper(
      `read server; echo "$server" >> ${at.dir.file("servers")}; echo '{"Username":"AWS","Secret":"token"}'`,
    );
    await using cache = await at.start(auth);
    expect((await cache.get(path(1))).status).toBe(200);
    expect((await cache.get(path(2))).status).toBe(200);
    expect(await Bun.file(at.dir.file("servers")).text()).toBe("reg.test\n");
  });

  test.concurrent(
    "are those of the program that registry:3 ran as proxy.exec, run again after its lifetime",
    async () => {
      await using at = await setUp();
      at.requireAuthorization(() => basic("AWS", "token"));
      const program = at.dir.file("get credentials");
      const script = `read server; echo "$1 $server" >> '${at.dir.file("asked")}'; echo '{"ServerURL":"","Username":"AWS","Secret":"token"}'`;
      await writeFile(program, `#!/bin/sh\n${script}\n`);
      await chmod(program, 0o755);
      const exec = `exec: { command: '${program}', lifetime: 0s }`;
      const config = `version: 0.1\nproxy:\n  remoteurl: https://reg.test\n  ${exec}\n`;
      await writeFile(at.dir.file("config.yml"), config);
      const imported = importFiles({
        files: [at.dir.file("config.yml")],
        readFile: readText,
        secrets: { folder: undefined, readFile: readText },
        names: new Map(),
      });
      expect(upstreamsIn(imported)).toEqual({
        "reg.test": { auth: { helper: { program, ttl: 0 } } },
      });
      await using cache = await at.start({ helper: { program, ttl: 0 } });
      expect((await cache.get(path(1))).status).toBe(200);
      const first = await Bun.file(at.dir.file("asked")).text();
      expect(first).toStartWith("get reg.test\n");
      expect((await cache.get(path(2))).status).toBe(200);
      expect((await Bun.file(at.dir.file("asked")).text()).length).toBeGreaterThan(first.length);
    },
  );

  test.concurrent(
    "from a helper may be an identity token, as for ACR, which is exchanged by OAuth 2.0",
    async () => {
      await using at = await setUp();
      const auth = await at.helper(`echo '{"Username":"<token>","Secret":"refresh"}'`);
      at.upstream.respond(({ path: requestPath, headers, method }) => {
        if (requestPath === "/token" && method === "POST")
          return { status: 200, body: `{"access_token":"a"}` };
        if (headers.get("authorization") === "Bearer a") return undefined;
        return faults.unauthorized(`Bearer realm="${at.upstream.url}/token",service="acr"`);
      });
      await using cache = await at.start(auth);
      expect((await cache.get(path(1))).status).toBe(200);
      const [token] = at.upstream.requests({ method: "POST" });
      expect(token?.headers.get("authorization")).toBeNull();
    },
  );

  test.concurrent(
    "are fetched from a helper again when the registry rejects the cached ones",
    async () => {
      await using at = await setUp();
      let accepted = basic("AWS", "first");
      at.requireAuthorization(() => accepted);
      await writeFile(at.dir.file("secret"), "first");
      const auth = await at.helper(
        `printf '{"Username":"AWS","Secret":"%s"}' "$(cat ${at.dir.file("secret")})"`,
      );
      await using cache = await at.start(auth);
      expect((await cache.get(path(1))).status).toBe(200);
      accepted = basic("AWS", "second");
      await writeFile(at.dir.file("secret"), "second");
      expect((await cache.get(path(2))).status).toBe(200);
    },
  );
});

test.concurrent.each([
  ["hangs", "sleep 60", "did not finish within 8 s"],
  ["prints HTML", "echo '<html>'", "printed no JSON object"],
  ["prints endlessly", "yes", "printed more than"],
  ["fails", "exit 3", "exit code 3"],
])(
  "a credential helper that %s is reported with its position in the file, and public images are still pulled",
  async (_, script, message) => {
    await using at = await setUp();
    const auth = await at.helper(script);
    await using cache = await at.start(auth);
    expect((await cache.get(path(1))).status).toBe(200);
    const line = await cache.logged("credentials refused");
    expect(String(line["problem"])).toMatch(/docker-credential-test \(.*entrepot\.yaml:\d+:\d+\)/);
    expect(String(line["problem"])).toContain(message);
  },
  30_000,
);

test.concurrent("a missing credential helper prevents the start", async () => {
  await using at = await setUp();
  const auth = await at.helper("true");
  const missing = JSON.stringify({ credHelpers: { "reg.test": "missing" } });
  await writeFile(at.dir.file("config.json"), missing);
  const failure = await at.start(auth).then(
    () => "it started",
    (error: unknown) => String(error),
  );
  expect(failure).toMatch(
    /entrepot\.yaml:\d+:\d+: upstreams\.reg\.test\.auth\.dockerConfig: .*needs docker-credential-missing, which is not in PATH/,
  );
});

test.concurrent(
  "a token realm on another domain gets neither credentials nor a connection unless it is trusted",
  async () => {
    await using at = await setUp();
    await using elsewhere = await startScriptedUpstream({ host: "127.0.0.2" });
    at.upstream.respond(() => faults.unauthorized(`Bearer realm="${elsewhere.url}/token"`));
    await using cache = await at.start({ username: "me", password: "s3cret" });
    const response = await cache.get(path(1));
    expect([response.status, await response.text()]).toEqual([
      502,
      expect.stringContaining("If that is intended, list it in the upstream's trustedRealms"),
    ]);
    expect(elsewhere.accepted).toBe(0);
    await cache.reconfigure({
      upstreams: {
        "reg.test": {
          ...localUpstream(at.upstream.url),
          auth: { username: "me", password: "s3cret" },
          trustedRealms: ["127.0.0.2"],
        },
      },
    });
    await cache.logged("configuration changed");
    // The realm returns no token, but it is contacted.
    await cache.get(path(2));
    expect(elsewhere.accepted).toBeGreaterThan(0);
  },
);
