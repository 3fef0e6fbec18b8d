import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { layersOf, textImage } from "./harness/images/images.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "./harness/registries/private-registry.ts";
import { run } from "./harness/processes.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const secret = textImage({ text: "for those whom their registry lets see it" });
const open = textImage({ text: "for anybody" });

async function startRegistry(): Promise<PrivateRegistry> {
  const registry = await startPrivateRegistry();
  registry.upstream.add("team/secret", secret, "1");
  registry.upstream.add("open/app", open, "1");
  registry.publish("open/app");
  registry.grant("ann", "team/secret");
  registry.grant(TOKEN_USER, "team/secret");
  registry.grant("bob", "other/app");
  return registry;
}

/** A token in the place of a password, and one in that of a user's name. */
const TOKEN_USER = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
const ODD = [basicOf(TOKEN_USER), basicOf("x", "sesame-12345")];
const WRONG = basicOf("ann", "guess-12345");

/** A load of requests with all sorts of credentials. Returns every text that is secret. */
async function pullAround(cache: Entrepot): Promise<string[]> {
  const get = async (path: string, authorization?: string, agent = "containerd/2.1.4") => {
    const headers = { "user-agent": agent, ...(authorization ? { authorization } : {}) };
    const response = await cache.get(path, { headers });
    return { status: response.status, text: await response.text() };
  };
  const tokenOf = async (authorization: string): Promise<string> => {
    const { text } = await get("/v2/token?service=entrepot", authorization);
    return (JSON.parse(text) as { token: string }).token;
  };
  const [token, wrongToken] = [await tokenOf(basicOf("ann")), await tokenOf(WRONG)];
  const all = [basicOf("ann"), basicOf("bob"), WRONG, ...ODD, `Bearer ${token}`];
  const path = (rest: string): string => `/v2/team/secret/${rest}?ns=reg.test`;
  const paths = ["manifests/1", `blobs/${layersOf(secret)[0]?.digest}`, "tags/list"].map(path);
  expect((await get(path("manifests/1"))).status).toBe(401);
  for (const one of [...paths, ...paths, ...paths, "/v2/_catalog?ns=reg.test", "/v2/"]) {
    for (const authorization of [
      ...all,
      `Bearer ${wrongToken}`,
      "Bearer eyJhbGciOiJub25lIn0.e30.",
    ]) {
      await get(one, authorization);
    }
  }
  expect((await get("/v2/open/app/manifests/1?ns=reg.test")).status).toBe(200);
  expect((await get("/v2/open/app/manifests/1?ns=reg.test", basicOf("bob"))).status).toBe(200);
  const passwords = [
    "ann-password",
    "bob-password",
    "guess-12345",
    "sesame-12345",
    "ghp_0123456789",
  ];
  return [...passwords, ...all.map((it) => it.split(" ")[1] ?? it), wrongToken];
}

async function readAll(cache: Entrepot): Promise<string> {
  const paths = ["/metrics", "/", "/images", "/history", "/settings"];
  const api = [
    "status",
    "overview",
    "pulls",
    "nodes",
    "images",
    "configuration",
    "image-clients?image=reg.test/team/secret:1",
  ];
  const texts = [];
  for (const path of [...paths, ...api.map((it) => `/api/v1/${it}`)]) {
    const response = await cache.getAdmin(path, { headers: { accept: "text/html, */*" } });
    expect([path, response.status]).toEqual([path, 200]);
    texts.push(await response.text());
  }
  const status = await command(cache, "status");
  return [...texts, status.stdout, status.stderr].join("\n");
}

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test.each([
  { workers: 1, auditAs: "name" },
  { workers: 2, auditAs: "hash" },
] as const)("who pulled is told by %j, and no credentials are", async ({ workers, auditAs }) => {
  await using dir = await tempDir("told");
  await using registry = await startRegistry();
  const file = dir.file("audit.jsonl");
  await using cache = await startEntrepot({
    config: {
      workers,
      audit: { to: file },
      clients: { auditAs },
      upstreams: { "reg.test": { ...localUpstream(registry.upstream.url), access: "upstream" } },
    },
  });
  const secrets = await pullAround(cache);
  const metrics = async () => (await cache.getAdmin("/metrics")).text();
  const decisions = (text: string) =>
    Object.fromEntries(
      text
        .matchAll(/^entrepot_access_decisions_total\{upstream="reg.test",decision="(.+)"\} (\d+)/gm)
        .map(([, decision, count]) => [decision, Number(count)]),
    );
  const { granted, ...others } = decisions(await metrics());
  // Thrice three paths: of ann with a password and with a token, and of a user whose name is one.
  expect(granted).toBe(9 * 3);
  expect(others).toEqual({ unauthorized: 1, public: 2, refused: 9 * 5 });
  const counted = await metrics();
  expect(counted).toMatch(/^entrepot_access_questions_total\{.*as="client",answer="shown"\} \d/m);
  expect(counted).toMatch(
    /^entrepot_access_questions_total\{.*as="anybody",answer="refused"\} \d/m,
  );
  expect(counted).toMatch(/^entrepot_access_verdicts [1-9]/m);
  const shown = await readAll(cache);
  const requests = () =>
    cache
      .logs()
      .filter(({ msg, path }) => msg === "request" && String(path).includes("team/secret"));
  await until(() => requests().length === 1 + 9 * 8, { what: "the lines of all requests" });
  expect(await cache.stop()).toBe(0);

  let ann = "reg.test:ann";
  if (auditAs === "hash") {
    // As docs/how-to/audit-pulls.md says.
    const script =
      'read -r key < "$1/audit.key"; printf %s reg.test:ann | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key';
    const { stdout } = await run(["sh", "-c", script, "sh", cache.data]);
    ann = `reg.test:#${stdout.trim().split(" ").at(-1)?.slice(0, 32)}`;
  }
  const byStatus = Map.groupBy(requests(), ({ status }) => status);
  const principals = byStatus.get(200)?.map(({ principal }) => principal);
  expect(principals?.filter((principal) => principal === ann)).toHaveLength(18);
  const unnamed = /^reg\.test:#[\w-]{16,32}$/;
  expect(principals?.filter((it) => it !== ann && unnamed.test(String(it)))).toHaveLength(9);
  expect(byStatus.get(401)?.every(({ principal }) => principal === undefined)).toBe(true);
  const audit = await readFile(file, "utf8");
  expect(linesOf(audit)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        image: "reg.test/team/secret:1",
        principal: ann,
        outcome: "pulled",
      }),
      expect.objectContaining({ image: "reg.test/team/secret:1", outcome: "refused" }),
      expect.objectContaining({ image: "reg.test/open/app:1", outcome: "pulled" }),
    ]),
  );
  const logged = cache
    .logs()
    .map((line) => JSON.stringify(line))
    .join("\n");
  for (const [where, text] of Object.entries({ audit, logged, shown, output: cache.output() })) {
    for (const one of secrets)
      expect([where, one, text.includes(one)]).toEqual([where, one, false]);
    if (auditAs === "hash") expect([where, /\bann\b/.test(text)]).toEqual([where, false]);
  }
});
