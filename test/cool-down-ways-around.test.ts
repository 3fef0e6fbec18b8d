import { afterAll, beforeAll, expect } from "bun:test";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command } from "./harness/cache/commands.ts";
import { HeldImage, partsOf } from "./harness/cool-down/held-image.ts";
import { fallbackTag } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import { real, realTest } from "./harness/real-components.ts";

/**
 * Ways by which what is held back has been had from other registries and caches: quarantines of Artifact Keeper
 * were passed by HEAD, and by the blobs of an image (GHSA-4j4m-fchf-gr9r).
 */

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

let held: HeldImage;

beforeAll(async () => {
  if (real.available) held = await HeldImage.start();
}, 240_000);

afterAll(() => held?.[Symbol.asyncDispose]());

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
      ...held.secrets.flatMap(({ digest }) => [`manifests/${digest}`, `blobs/${digest}`]),
      `referrers/${held.now.manifest.digest}`,
      `referrers/${held.now.manifest.digest}?artifactType=x&`,
    ];
    for (const path of paths) {
      for (const method of ["GET", "HEAD"]) {
        for (const headers of HEADERS) {
          const [end = "", query = ""] = path.split("?");
          const name = `${method} ${path} ${JSON.stringify(headers)}`;
          held.expectHeld(
            name,
            await held.ask(`/v2/library/node/${end}?${query}ns=docker.io`, { method, headers }),
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
        for (const at of [held.world.cache.address, held.port]) {
          for (const method of ["GET", "HEAD"]) {
            const path = `${name}/manifests/24${query}`;
            const response = await held.ask(path, { method, at });
            held.expectNothingOf(`${method} ${path}`, response);
            const digest = response.headers["docker-content-digest"] ?? held.before.manifest.digest;
            expect([path, digest]).toEqual([path, held.before.manifest.digest]);
          }
          const [child] = held.now.children;
          for (const end of [
            `manifests/${held.now.manifest.digest}`,
            `blobs/${child?.blobs.at(-1)?.digest}`,
          ]) {
            held.expectHeld(
              `${name}/${end}${query} at ${at}`,
              await held.ask(`${name}/${end}${query}`, { at }),
            );
          }
        }
      }
    }
    const none = `"${held.now.manifest.digest}"`;
    for (const headers of [
      { "if-none-match": none },
      { "if-match": none },
      { range: "bytes=0-9" },
    ]) {
      const { status, headers: told } = await held.ask(
        "/v2/library/node/manifests/24?ns=docker.io",
        {
          headers,
        },
      );
      expect([status, told["docker-content-digest"]]).toEqual([200, held.before.manifest.digest]);
    }
  },
);

realTest(
  "what signs it may be had, so that it can be judged, and leads to nothing of it",
  async () => {
    for (const tag of [fallbackTag(held.now), `${fallbackTag(held.now)}.sig`]) {
      const { status } = await held.ask(`/v2/library/node/manifests/${tag}?ns=docker.io`);
      expect([tag, status]).toEqual([tag, 200]);
    }
    await held.expectHeldBack("after its signatures were looked at");
  },
);

realTest("where nothing is stored, its tag is the image before as well", async () => {
  for (const method of ["HEAD", "GET"]) {
    const path = "/v2/never/stored/manifests/24?ns=docker.io";
    const { status, headers } = await held.ask(path, { method });
    const told = [method, status, headers["docker-content-digest"]];
    expect(told).toEqual([method, 200, held.before.manifest.digest]);
    expect(headers["warning"]).toContain("this is the digest before");
  }
  for (const path of partsOf(held.before)) {
    const { status } = await held.ask(`/v2/never/stored/${path}?ns=docker.io`);
    expect([path, status]).toEqual([path, 200]);
  }
});

realTest(
  "neither an outage nor a restart gives the held image, nor takes the one before away",
  async () => {
    await held.expectHeldBack("at first");
    await held.withRegistriesDown(() => held.expectHeldBack("with its registry down"));
    await held.world.restart();
    await held.expectHeldBack("after a restart");
    await held.withRegistriesDown(async () => {
      await held.world.restart();
      await held.expectHeldBack("after a restart with its registry down");
    });
  },
);

realTest("what is removed is held as before", async () => {
  for (const words of [
    ["gc"],
    ["purge", "docker.io/library/node:24"],
    ["purge", "docker.io/library/node*"],
  ]) {
    const { code, stderr } = await command(held.world.cache, ...words);
    expect([words, code, code === 0 ? "" : stderr]).toEqual([words, 0, ""]);
    await held.expectHeldBack(words.join(" "));
  }
});

realTest(
  "an image that is warmed or tried is the one before, and one that is warmed by its digest stays held",
  async () => {
    const { cache } = held.world;
    const warm = (image: string) => command(cache, "warm", image);
    const pull = (image: string) => run([PROGRAM, "pull", "--cache", cache.url, image]);
    for (const tried of [warm, pull]) {
      const { code, stdout, stderr } = await tried("docker.io/library/node:24");
      expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
    }
    const image = `docker.io/library/node@${held.now.manifest.digest}`;
    // It may be here before its time, so that it is here in time.
    expect((await warm(image)).code).toBe(0);
    const refused = await pull(image);
    expect([refused.code, refused.stdout + refused.stderr]).toEqual([
      1,
      expect.stringContaining("and is held until"),
    ]);
    await held.expectHeldBack("after it was warmed");
  },
);

realTest("credentials show a client what it may see, and not what is held", async () => {
  for (const method of ["GET", "HEAD"]) {
    const { status, headers } = await held.askAsAnn("manifests/1", method);
    const told = [method, status, headers["docker-content-digest"]];
    expect(told).toEqual([method, 200, held.before.manifest.digest]);
    expect(headers["warning"]).toContain("this is the digest before");
    for (const { digest } of held.secrets) {
      for (const kind of ["manifests", "blobs"]) {
        const path = `${kind}/${digest}`;
        const answer = await held.askAsAnn(path, method);
        held.expectHeld(`${method} ${path} of ann`, answer);
        expect([path, answer.status]).not.toEqual([path, 401]);
      }
    }
  }
  for (const path of partsOf(held.before)) {
    const { status } = await held.askAsAnn(path);
    expect([path, status]).toEqual([path, 200]);
  }
  const anybody = await held.ask("/v2/team/app/manifests/1?ns=private.test");
  held.expectHeld("nobody", anybody);
  expect(anybody.headers["warning"]).toBeUndefined();
});

realTest("what is decided holds at once for what threads have sent again and again", async () => {
  const [manifest] = partsOf(held.before);
  const paths = ["manifests/24", `${manifest}`].map(
    (path) => `/v2/library/node/${path}?ns=docker.io`,
  );
  /** Of many connections, which both threads accept. */
  const statuses = async (path: string): Promise<readonly number[]> => {
    const all = await Promise.all(Array.from({ length: 40 }, () => held.ask(path)));
    return [...new Set(all.map(({ status }) => status))];
  };
  const decide = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await command(held.world.cache, ...words, "--reason", "a test");
    expect([words, code, code === 0 ? "" : stderr]).toEqual([words, 0, ""]);
  };
  for (const path of paths) {
    await statuses(path);
    expect([path, await statuses(path)]).toEqual([path, [200]]);
  }
  const images = [held.before, ...held.before.children].map(
    (image) => `docker.io/library/node@${image.manifest.digest}`,
  );
  for (const image of images) await decide("hold", image);
  for (const path of paths) {
    const given = await Promise.all(Array.from({ length: 40 }, () => held.ask(path)));
    for (const response of given) {
      expect([path, response.headers["docker-content-digest"]]).not.toEqual([
        path,
        held.before.manifest.digest,
      ]);
    }
  }
  expect(await statuses(paths[1] ?? "")).toEqual([403]);
  for (const image of images) await decide("release", image);
  await held.expectHeldBack("after a hold was released");
});

realTest("a rebuilt index holds what it held", async () => {
  await held.world.restart(async () => {
    const files = (await readdir(held.world.data)).filter((name) => name.startsWith("metadata."));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) await rm(join(held.world.data, name));
  });
  await held.expectHeldBack("after its index was rebuilt");
});
