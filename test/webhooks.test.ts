import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Webhook } from "standardwebhooks";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const SECRET = `whsec_${Buffer.from("a key of thirty-two random bytes").toString("base64")}`;

interface Received {
  readonly path: string;
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Receivers at one port: `/ops` verifies signatures, `/broker` takes CloudEvents, `/hanging` never answers. */
function startReceivers() {
  const received: Received[] = [];
  let isDown = false;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname: path } = new URL(request.url);
      if (path === "/hanging") return new Promise<Response>(() => {});
      if (path === "/elsewhere") throw new Error("a redirect was followed");
      if (path === "/redirecting") return Response.redirect("/elsewhere", 307);
      if (isDown) return new Response(null, { status: 503 });
      const body = await request.text();
      if (path === "/broker") {
        const { id, type, data, specversion } = JSON.parse(body);
        received.push({ path, id, type: `${specversion} ${type}`, data });
        return new Response(null, { status: 204 });
      }
      const headers = Object.fromEntries(request.headers);
      // What it verifies is what it was sent; an error is a status that the cache sees.
      const verified = new Webhook(SECRET).verify(body, headers) as Omit<Received, "path" | "id">;
      received.push({ path, id: request.headers.get("webhook-id") ?? "", ...verified });
      return new Response("x".repeat(1000));
    },
    error: () => new Response(null, { status: 401 }),
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    at: (path: string) => received.filter((event) => event.path === path),
    setDown(down: boolean) {
      isDown = down;
    },
    stop: () => server.stop(true),
  };
}

let dir: TempDir;
let upstream: ScriptedUpstream;
let receivers: ReturnType<typeof startReceivers>;
let cache: Entrepot;

const start = () =>
  startEntrepot({
    data: dir.file("data"),
    config: {
      events: {
        webhooks: {
          ops: { url: `${receivers.url}/ops`, secretFile: dir.file("secret") },
          broker: { url: `${receivers.url}/broker`, format: "cloudevents", types: ["tag.moved"] },
          hanging: { url: `${receivers.url}/hanging`, format: "cloudevents" },
          redirecting: { url: `${receivers.url}/redirecting`, format: "cloudevents" },
        },
      },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s" } },
    },
  });

beforeAll(async () => {
  dir = await tempDir("webhooks");
  await writeFile(dir.file("secret"), `${SECRET}\n`);
  receivers = startReceivers();
  upstream = await startScriptedUpstream();
  cache = await start();
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await receivers.stop();
  await dir[Symbol.asyncDispose]();
});

const pull = async (tag: string) =>
  (await cache.get(`/v2/app/manifests/${tag}?ns=reg.test`)).bytes();

function push(tag: string, text: string) {
  const image = textImage({ text });
  upstream.add("app", image, tag);
  return image.manifest;
}

const received = (path: string, count: number) =>
  until(() => (receivers.at(path).length >= count ? receivers.at(path) : undefined), {
    what: `${count} events at ${path}`,
  });

test("receivers are told of new and of moved tags, however others hang", async () => {
  const [first, second] = [push("1", "old"), textImage({ text: "new" }).manifest];
  await pull("1");
  await pull("1");
  push("1", "new");
  await pull("1");
  const image = { upstream: "reg.test", repository: "app", tag: "1" };
  const events = await received("/ops", 2);
  expect(events.map(({ type, data }) => ({ type, data }))).toMatchObject([
    { type: "image.first-seen", data: { ...image, digest: first.digest } },
    {
      type: "tag.moved",
      data: { ...image, digest: second.digest, previousDigest: first.digest },
    },
  ]);
  const [moved] = await received("/broker", 1);
  expect([moved?.type, moved?.id]).toEqual(["1.0 io.entrepot.tag.moved", events[1]?.id ?? ""]);
});

test("what a receiver did not get survives kill -9, and is sent again under the same id", async () => {
  receivers.setDown(true);
  push("2", "other");
  await pull("2");
  await cache.logged("events do not reach their receiver: they are sent again later");
  await cache.stop("SIGKILL");
  receivers.setDown(false);
  const before = receivers.at("/ops").length;
  await using stopped = cache;
  cache = await start();
  expect(stopped.exitCode).toBe(137);
  const [event] = (await received("/ops", before + 1)).slice(before);
  expect(event?.data).toMatchObject({ tag: "2" });
});

test("events test asks the receivers themselves, and says what they answered", async () => {
  const admin = ["--admin", cache.adminAddress];
  const { code, stdout } = await run([PROGRAM, "events", "test", "ops", ...admin]);
  expect([code, stdout]).toEqual([0, "ops took the event\n"]);
  const all = await run([PROGRAM, "events", "--json", ...admin]);
  const { items } = JSON.parse(all.stdout);
  expect([all.code, items]).toEqual([
    1,
    expect.arrayContaining([
      expect.objectContaining({ name: "ops", queued: 0, receiver: receivers.url }),
      expect.objectContaining({ name: "redirecting", problem: "it answered with 307" }),
    ]),
  ]);
  const unknown = await run([PROGRAM, "events", "test", "$(id)", ...admin]);
  expect([unknown.code, unknown.stderr]).toEqual([
    1,
    'entrepot: there is no receiver "$(id)": use ops, broker, hanging, redirecting\n',
  ]);
});
