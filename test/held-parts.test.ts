import { afterAll, beforeAll, expect, test } from "bun:test";
import { heldSchema } from "../src/api/tag-history.ts";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { type Image, multiPlatformImage, textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

let upstream: ScriptedUpstream;
let cache: Entrepot;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      policies: [
        { match: "reg.test/held/*", minAge: "1d" },
        { match: "reg.test/named/*", minAge: "1d", digests: "hold" },
      ],
      upstreams: {
        "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s", prefetch: "off" },
      },
    },
  });
});

afterAll(async () => {
  await cache?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
});

async function pull(repository: string): Promise<string | null> {
  const response = await cache.get(`/v2/${repository}/manifests/1?ns=reg.test`);
  await response.bytes();
  return response.headers.get("docker-content-digest");
}

/** A tag that had one image, and has another one now: both were asked for. Nothing but manifests was pulled. */
async function moved(repository: string, before: Image): Promise<{ before: Image; now: Image }> {
  const now = textImage({ text: `${repository} now` });
  for (const image of [before, now]) {
    upstream.add(repository, image, "1");
    expect(await pull(repository)).toBe(before.manifest.digest);
  }
  return { before, now };
}

const imageOf = (repository: string): Image => textImage({ text: `${repository} before` });

function configOf({ blobs }: Image): string {
  return blobs[0]?.digest ?? "";
}

async function ask(path: string, method = "GET") {
  const response = await cache.get(`/v2/${path}?ns=reg.test`, { method });
  const text = await response.text();
  const warning = response.headers.get("warning");
  return { status: response.status, warning, body: text === "" ? undefined : JSON.parse(text) };
}

const why = (image: string): string =>
  `${image} moved just now, this is the digest before; entrepot release ${image}`;

const gone = (code: string, what: string, path: string) => ({
  status: 404,
  warning: null,
  body: { errors: [{ code, message: `reg.test has no ${what} ${path}`, detail: null }] },
});

test("a blob of a held tag's digest that its registry has deleted is missing, and says of what, and what to do", async () => {
  const { before, now } = await moved("held/app", imageOf("held/app"));
  const blob = configOf(before);
  upstream.remove("held/app", blob);
  const image = "reg.test/held/app:1";
  const missing = await ask(`held/app/blobs/${blob}`);
  const { message } = gone("", "blob", `held/app@${blob}`).body.errors[0] ?? {};
  expect(missing).toEqual({
    status: 404,
    warning: `299 - "held: ${why(image)}"`,
    body: {
      errors: [
        {
          code: "BLOB_UNKNOWN",
          message: `${message}, which ${image} needs as long as it is held: ${why(image)}`,
          detail: { neededBy: { image, digest: before.manifest.digest, text: why(image) } },
        },
      ],
    },
  });
  expect(await ask(`held/app/blobs/${blob}`, "HEAD")).toEqual({ ...missing, body: undefined });
  // Whoever deletes at the registry does not decide.
  expect(await pull("held/app")).toBe(before.manifest.digest);
  const metrics = await (await cache.getAdmin("/metrics")).text();
  expect(metrics).toContain(
    'entrepot_held_responses_total{upstream="reg.test",answer="missing"} 2',
  );
  const short = (digest: string): string => digest.slice(0, 19);
  const lost = `${short(before.manifest.digest)} cannot be pulled: its registry no longer has ${short(blob)} of it`;
  const held = heldSchema.parse(await (await cache.getAdmin("/api/v1/held")).json());
  expect(held.tags.find((one) => one.image === image)?.hold.text).toEndWith(`. ${lost}`);
  const told = () => cache.logs().filter(({ msg }) => String(msg).endsWith(lost));
  await until(() => told().length > 0, { what: "the log to say it" });
  expect(told()).toHaveLength(1);
  // What it says to type helps.
  const { code } = await command(cache, "release", image, "--reason", "for a test");
  expect(code).toBe(0);
  expect(await pull("held/app")).toBe(now.manifest.digest);
  expect(await ask(`held/app/blobs/${blob}`)).toEqual(
    gone("BLOB_UNKNOWN", "blob", `held/app@${blob}`),
  );
});

test("so does the manifest of a platform, and where digests are held as well", async () => {
  for (const repository of ["held/index", "named/index"]) {
    const index = await multiPlatformImage({ architectures: ["arm64"], text: repository });
    await moved(repository, index);
    const child = index.children[0]?.manifest.digest ?? "";
    upstream.remove(repository, child);
    const image = `reg.test/${repository}:1`;
    const { status, warning, body } = await ask(`${repository}/manifests/${child}`);
    expect({ status, warning, code: body.errors[0].code }).toEqual({
      status: 404,
      warning: `299 - "held: ${why(image)}"`,
      code: "MANIFEST_UNKNOWN",
    });
  }
});

test("what a tag was rolled back to says who did that", async () => {
  const before = imageOf("free/app");
  const now = textImage({ text: "free/app now" });
  for (const image of [before, now]) {
    upstream.add("free/app", image, "1");
    expect(await pull("free/app")).toBe(image.manifest.digest);
  }
  const blob = configOf(before);
  upstream.remove("free/app", blob);
  // Nothing is held of it.
  expect(await ask(`free/app/blobs/${blob}`)).toEqual(
    gone("BLOB_UNKNOWN", "blob", `free/app@${blob}`),
  );
  const to = ["--to", before.manifest.digest, "--reason", "now is broken"];
  expect((await command(cache, "rollback", "reg.test/free/app:1", ...to)).code).toBe(0);
  expect((await ask(`free/app/blobs/${blob}`)).warning).toMatch(
    /^299 - "held: reg\.test\/free\/app:1 was rolled back by .* \(now is broken\); entrepot release reg\.test\/free\/app:1 ends it"$/,
  );
});

test("what belongs to the new digest, or to nothing, is missing as its registry says", async () => {
  const { now } = await moved("held/other", imageOf("held/other"));
  const blob = configOf(now);
  upstream.remove("held/other", blob);
  const unknown = `sha256:${"ab".repeat(32)}`;
  for (const digest of [blob, unknown]) {
    expect(await ask(`held/other/blobs/${digest}`)).toEqual(
      gone("BLOB_UNKNOWN", "blob", `held/other@${digest}`),
    );
  }
  expect(await ask(`held/other/manifests/${unknown}`)).toEqual(
    gone("MANIFEST_UNKNOWN", "manifest", `held/other@${unknown}`),
  );
});
