import { afterAll, beforeAll, expect } from "bun:test";
import { type RawResponse, rawRequest } from "./harness/access/raw-request.ts";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command } from "./harness/cache/commands.ts";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { CoolDownWorld, DAY } from "./harness/cool-down/cool-down-world.ts";
import { freePort } from "./harness/free-port.ts";
import { bytesOf, type Content } from "./harness/images/content.ts";
import {
  allBlobs,
  allManifests,
  artifact,
  fallbackTag,
  type Image,
  multiPlatformImage,
  referrersIndex,
} from "./harness/images/images.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "./harness/registries/private-registry.ts";
import { run } from "./harness/processes.ts";
import { real, realTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";

/**
 * Ways by which what is held back has been had from other registries and caches: quarantines of Artifact Keeper
 * were passed by HEAD, and by the blobs of an image (GHSA-4j4m-fchf-gr9r).
 */

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const RULES = ["docker.io/**", "private.test/**"].map((match) => {
  return { match, minAge: "3d", digests: "hold" };
});

let world: CoolDownWorld;
let mirror: ScriptedUpstream;
/** Shows its content to ann alone. */
let hub: PrivateRegistry;
/** The image that the tag had for nine days, and the one that it has got. */
let before: Image;
let now: Image;
let port = "";

beforeAll(async () => {
  if (!real.available) return;
  [mirror, hub] = await Promise.all([startScriptedUpstream(), startPrivateRegistry()]);
  hub.grant("ann", "team/app");
  world = await CoolDownWorld.start({
    name: "docker.io",
    policies: RULES,
    upstream: { port: freePort(), bypass: ["never/**"], mirrors: [localUpstream(mirror.url)] },
    upstreams: (url) => ({
      "other.test": localUpstream(url),
      "private.test": { ...localUpstream(hub.upstream.url), access: "upstream" },
    }),
    config: { workers: 2, listen: "127.0.0.1:0" },
  });
  [before, now] = await Promise.all([
    multiPlatformImage({ text: "the image before" }),
    multiPlatformImage({ text: "the image that is held" }),
  ]);
  for (const repository of ["library/node", "never/stored"]) {
    world.upstream.add(repository, before, "24", "old");
    await pullAll(repository, before);
  }
  hub.upstream.add("team/app", before, "1");
  for (const path of ["manifests/1", ...partsOf(before)]) {
    const { status } = await askAsAnn(path);
    expect([path, status]).toEqual([path, 200]);
  }
  await world.clock.forward(9 * DAY);
  hub.upstream.add("team/app", now, "1");
  for (const registry of [world.upstream, mirror]) {
    for (const repository of ["library/node", "never/stored"]) {
      registry.add(repository, now, "24");
      const signature = artifact(now, { text: "a signature of the held image" });
      registry.add(repository, signature);
      registry.add(
        repository,
        referrersIndex([signature]),
        fallbackTag(now),
        `${fallbackTag(now)}.sig`,
      );
    }
  }
  expect((await ask("/v2/library/node/manifests/24")).status).toBe(200);
  // Where it is not held, all of it is stored, under another name.
  expect(
    (await ask("/v2/library/node/manifests/24?ns=other.test")).headers["docker-content-digest"],
  ).toBe(now.manifest.digest);
  for (const path of partsOf(now))
    expect([path, (await ask(`/v2/library/node/${path}?ns=other.test`)).status]).toEqual([
      path,
      200,
    ]);
  port = new URL(world.cache.portUrl("docker.io")).host;
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await mirror?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

function ask(
  path: string,
  {
    method = "GET",
    headers = {},
    at = world.cache.address,
  }: { method?: string; headers?: Record<string, string>; at?: string } = {},
): Promise<RawResponse> {
  return rawRequest(at, path, { method, headers });
}

function askAsAnn(path: string, method = "GET"): Promise<RawResponse> {
  const headers = { authorization: basicOf("ann") };
  return ask(`/v2/team/app/${path}?ns=private.test`, { method, headers });
}

/** What an image is made of, and what refers to it. */
function partsOf(image: Image): string[] {
  return [
    ...allManifests(image).map(({ digest }) => `manifests/${digest}`),
    ...allBlobs(image).map(({ digest }) => `blobs/${digest}`),
  ];
}

async function pullAll(repository: string, image: Image): Promise<void> {
  for (const path of ["manifests/24", ...partsOf(image)]) {
    const { status } = await ask(`/v2/${repository}/${path}?ns=docker.io`);
    expect([repository, path, status]).toEqual([repository, path, 200]);
  }
}

/** What only the held image is made of. */
function secrets(): readonly Content[] {
  const known = new Set([...allManifests(before), ...allBlobs(before)].map(({ digest }) => digest));
  return [...allManifests(now), ...allBlobs(now)].filter(({ digest }) => !known.has(digest));
}

/** Nothing of the held image: neither its bytes, nor that they are here. */
function expectHeld(name: string, response: RawResponse): void {
  const { status, headers, body } = response;
  expect([name, status >= 400, status]).toEqual([name, true, expect.any(Number)]);
  expectNothingOf(name, response);
  const told = Object.keys(headers).filter((it) => /digest|etag|content-range|location/.test(it));
  expect([name, told]).toEqual([name, []]);
  expect([name, body.byteLength < 2000]).toEqual([name, true]);
}

function expectNothingOf(name: string, { headers, body }: RawResponse): void {
  const { "docker-content-digest": digest = "", etag = "" } = headers;
  for (const secret of secrets()) {
    const isTold = digest.includes(secret.digest) || etag.includes(secret.digest);
    const isGiven = body.includes(bytesOf(secret).subarray(0, 200));
    expect([name, secret.digest, isTold, isGiven]).toEqual([name, secret.digest, false, false]);
  }
}

const HEADERS: readonly Record<string, string>[] = [
  {},
  { range: "bytes=0-3" },
  { range: "bytes=-4" },
  { range: "bytes=1-2,4-5" },
  { "if-none-match": "*" },
  { "if-match": "*" },
  { accept: "*/*" },
  { accept: "application/vnd.oci.image.manifest.v1+json" },
];

const NAMES = [
  "/v2/library/node",
  "/v2/node",
  "/v2/docker.io/library/node",
  "/v2/docker.io/node",
  "/v2/index.docker.io/library/node",
  "/v2/registry-1.docker.io/node",
  "/v2/%6cibrary/node",
  "/v2/library/%6eode",
  "/v2/library%2Fnode",
  "/v2/./library/node",
  "/v2/other/../library/node",
  "/v2/other/%2e%2e/library/node",
  "/v2//library/node",
  "/v2/Library/Node",
];

const QUERIES = [
  "",
  "?ns=docker.io",
  "?ns=index.docker.io",
  "?ns=registry-1.docker.io",
  "?ns=DOCKER.IO",
  "?ns=docker.io&ns=docker.io",
];

realTest(
  "nothing of a held image is given by its digest: by no method, range, condition or kind",
  async () => {
    const paths = [
      ...secrets().flatMap(({ digest }) => [`manifests/${digest}`, `blobs/${digest}`]),
      `referrers/${now.manifest.digest}`,
      `referrers/${now.manifest.digest}?artifactType=x&`,
    ];
    for (const path of paths) {
      for (const method of ["GET", "HEAD"]) {
        for (const headers of HEADERS) {
          const [end = "", query = ""] = path.split("?");
          const name = `${method} ${path} ${JSON.stringify(headers)}`;
          expectHeld(
            name,
            await ask(`/v2/library/node/${end}?${query}ns=docker.io`, { method, headers }),
          );
        }
      }
    }
  },
);

realTest(
  "its tag is the image before, by every name, at every port, and whatever is asked of it",
  async () => {
    for (const name of NAMES) {
      for (const query of QUERIES) {
        for (const at of [world.cache.address, port]) {
          for (const method of ["GET", "HEAD"]) {
            const path = `${name}/manifests/24${query}`;
            const response = await ask(path, { method, at });
            expectNothingOf(`${method} ${path}`, response);
            const digest = response.headers["docker-content-digest"] ?? before.manifest.digest;
            expect([path, digest]).toEqual([path, before.manifest.digest]);
          }
          const [child] = now.children;
          for (const end of [
            `manifests/${now.manifest.digest}`,
            `blobs/${child?.blobs.at(-1)?.digest}`,
          ]) {
            expectHeld(
              `${name}/${end}${query} at ${at}`,
              await ask(`${name}/${end}${query}`, { at }),
            );
          }
        }
      }
    }
    const none = `"${now.manifest.digest}"`;
    for (const headers of [
      { "if-none-match": none },
      { "if-match": none },
      { range: "bytes=0-9" },
    ]) {
      const { status, headers: told } = await ask("/v2/library/node/manifests/24?ns=docker.io", {
        headers,
      });
      expect([status, told["docker-content-digest"]]).toEqual([200, before.manifest.digest]);
    }
  },
);

realTest(
  "what signs it may be had, so that it can be judged, and leads to nothing of it",
  async () => {
    for (const tag of [fallbackTag(now), `${fallbackTag(now)}.sig`]) {
      const { status } = await ask(`/v2/library/node/manifests/${tag}?ns=docker.io`);
      expect([tag, status]).toEqual([tag, 200]);
    }
    await expectHeldBack("after its signatures were looked at");
  },
);

realTest("where nothing is stored, its tag is the image before as well", async () => {
  for (const method of ["HEAD", "GET"]) {
    const path = "/v2/never/stored/manifests/24?ns=docker.io";
    const { status, headers } = await ask(path, { method });
    const told = [method, status, headers["docker-content-digest"]];
    expect(told).toEqual([method, 200, before.manifest.digest]);
    expect(headers["warning"]).toContain("this is the digest before");
  }
  for (const path of partsOf(before)) {
    const { status } = await ask(`/v2/never/stored/${path}?ns=docker.io`);
    expect([path, status]).toEqual([path, 200]);
  }
});

/** The tag is the image before, and all of that can be had; nothing of the held one can. */
async function expectHeldBack(when: string): Promise<void> {
  const { status, headers } = await ask("/v2/library/node/manifests/24?ns=docker.io");
  const told = [when, status, headers["docker-content-digest"]];
  expect(told).toEqual([when, 200, before.manifest.digest]);
  expect([when, headers["warning"]]).toEqual([when, expect.stringContaining("held: ")]);
  for (const path of partsOf(before)) {
    const part = await ask(`/v2/library/node/${path}?ns=docker.io`);
    const shown = part.status === 200 ? "" : part.body.toString();
    expect([when, path, part.status, shown]).toEqual([when, path, 200, ""]);
  }
  for (const { digest } of secrets()) {
    for (const kind of ["manifests", "blobs"]) {
      for (const method of ["HEAD", "GET"]) {
        const path = `/v2/library/node/${kind}/${digest}?ns=docker.io`;
        expectHeld(`${when}: ${method} ${path}`, await ask(path, { method }));
      }
    }
  }
}

async function withRegistriesDown(what: () => Promise<void>): Promise<void> {
  const registries = [world.upstream, mirror];
  await Promise.all(registries.map((one) => one.stop()));
  try {
    await what();
  } finally {
    await Promise.all(registries.map((one) => one.start()));
  }
}

realTest(
  "neither an outage nor a restart gives the held image, nor takes the one before away",
  async () => {
    await expectHeldBack("at first");
    await withRegistriesDown(() => expectHeldBack("with its registry down"));
    await world.restart();
    await expectHeldBack("after a restart");
    await withRegistriesDown(async () => {
      await world.restart();
      await expectHeldBack("after a restart with its registry down");
    });
  },
);

realTest("what is removed is held as before", async () => {
  for (const words of [
    ["gc"],
    ["purge", "docker.io/library/node:24"],
    ["purge", "docker.io/library/node*"],
  ]) {
    const { code, stderr } = await command(world.cache, ...words);
    expect([words, code, code === 0 ? "" : stderr]).toEqual([words, 0, ""]);
    await expectHeldBack(words.join(" "));
  }
});

realTest(
  "an image that is warmed or tried is the one before, and one that is warmed by its digest stays held",
  async () => {
    const { cache } = world;
    const warm = (image: string) => command(cache, "warm", image);
    const pull = (image: string) => run([PROGRAM, "pull", "--cache", cache.url, image]);
    for (const tried of [warm, pull]) {
      const { code, stdout, stderr } = await tried("docker.io/library/node:24");
      expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
    }
    const held = `docker.io/library/node@${now.manifest.digest}`;
    // It may be here before its time, so that it is here in time.
    expect((await warm(held)).code).toBe(0);
    const refused = await pull(held);
    expect([refused.code, refused.stdout + refused.stderr]).toEqual([
      1,
      expect.stringContaining("and is held until"),
    ]);
    await expectHeldBack("after it was warmed");
  },
);

realTest("credentials show a client what it may see, and not what is held", async () => {
  for (const method of ["GET", "HEAD"]) {
    const { status, headers } = await askAsAnn("manifests/1", method);
    const told = [method, status, headers["docker-content-digest"]];
    expect(told).toEqual([method, 200, before.manifest.digest]);
    expect(headers["warning"]).toContain("this is the digest before");
    for (const { digest } of secrets()) {
      for (const kind of ["manifests", "blobs"]) {
        const path = `${kind}/${digest}`;
        const held = await askAsAnn(path, method);
        expectHeld(`${method} ${path} of ann`, held);
        expect([path, held.status]).not.toEqual([path, 401]);
      }
    }
  }
  for (const path of partsOf(before)) {
    const { status } = await askAsAnn(path);
    expect([path, status]).toEqual([path, 200]);
  }
  const anybody = await ask("/v2/team/app/manifests/1?ns=private.test");
  expectHeld("nobody", anybody);
  expect(anybody.headers["warning"]).toBeUndefined();
});

realTest("what is decided holds at once for what threads have sent again and again", async () => {
  const [manifest] = partsOf(before);
  const paths = ["manifests/24", `${manifest}`].map(
    (path) => `/v2/library/node/${path}?ns=docker.io`,
  );
  /** Of many connections, which both threads accept. */
  const statuses = async (path: string): Promise<readonly number[]> => {
    const all = await Promise.all(Array.from({ length: 40 }, () => ask(path)));
    return [...new Set(all.map(({ status }) => status))];
  };
  const decide = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await command(world.cache, ...words, "--reason", "a test");
    expect([words, code, code === 0 ? "" : stderr]).toEqual([words, 0, ""]);
  };
  for (const path of paths) {
    await statuses(path);
    expect([path, await statuses(path)]).toEqual([path, [200]]);
  }
  const held = [before, ...before.children].map(
    (image) => `docker.io/library/node@${image.manifest.digest}`,
  );
  for (const image of held) await decide("hold", image);
  for (const path of paths) {
    const given = await Promise.all(Array.from({ length: 40 }, () => ask(path)));
    for (const response of given) {
      expect([path, response.headers["docker-content-digest"]]).not.toEqual([
        path,
        before.manifest.digest,
      ]);
    }
  }
  expect(await statuses(paths[1] ?? "")).toEqual([403]);
  for (const image of held) await decide("release", image);
  await expectHeldBack("after a hold was released");
});

realTest("a rebuilt index holds what it held", async () => {
  await world.restart(async () => {
    const files = (await readdir(world.data)).filter((name) => name.startsWith("metadata."));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) await rm(join(world.data, name));
  });
  await expectHeldBack("after its index was rebuilt");
});
