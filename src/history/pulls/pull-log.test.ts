import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import type { Pull } from "../../api/pulls.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import type { ServedRequest } from "../served-request.ts";
import { CountedTagPulls } from "./counted-tag-pulls.ts";
import { ImageClients } from "./image-clients.ts";
import { PullLog } from "./pull-log.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [index, manifest, layer] = [digestNumber(1), digestNumber(2), digestNumber(3)];
const START = 1_000_000;

/** A log whose clock stands at the end of the last request. */
function logOf(storedTag?: (digest: Digest) => Tag | undefined) {
  const state = { now: START };
  const clients = new ImageClients();
  const tagPulls = new CountedTagPulls();
  const changes: (readonly Pull[])[] = [];
  const log = new PullLog({
    clients,
    tagPulls,
    ...(storedTag ? { storedTag: async (_, digest) => storedTag(digest) } : {}),
    onChange: (pulls) => changes.push(pulls),
    now: () => state.now,
  });
  const served = (some: Partial<ServedRequest>): ServedRequest => ({
    at: state.now,
    milliseconds: 0,
    client: "10.0.0.1",
    userAgent: "containerd/2.1.4",
    repo: nginx,
    kind: "manifest",
    reference: tag("1.27"),
    result: "hit",
    bytes: 10,
    ...some,
  });
  return {
    log,
    clients,
    tagPulls,
    changes,
    state,
    served,
    /** Each ends a second after the one before. */
    add(...requests: Partial<ServedRequest>[]) {
      for (const request of requests) {
        state.now += 1000;
        log.add([served(request)]);
      }
    },
    get shown() {
      return log.latest.map(({ image, result, requests }) => [image, result, requests]);
    },
  };
}

const BLOB = { kind: "blob", reference: layer } as const;

test("what containerd asks for one image is one pull, and as slow as its slowest part", () => {
  const all = logOf();
  all.add(
    { digest: index },
    { reference: index, digest: index },
    { reference: manifest, digest: manifest },
    { ...BLOB, result: "miss", reason: "it was not stored", bytes: 5000 },
    BLOB,
  );
  expect(all.log.latest).toEqual([
    {
      id: 1,
      at: START + 1000,
      client: "10.0.0.1",
      runtime: "containerd 2.1.4",
      upstream: "docker.io",
      image: "docker.io/library/nginx:1.27",
      digest: index,
      result: "miss",
      reason: "it was not stored",
      requests: 5,
      missed: 1,
      bytes: 5040,
      ms: 4000,
      isDone: false,
    },
  ]);
  expect(all.changes).toHaveLength(5);
  all.state.now += 10_000;
  expect(all.log.latest[0]?.isDone).toBe(true);
});

test("another client, another program, another tag and a later time are pulls of their own", () => {
  const all = logOf();
  all.add({}, { client: "10.0.0.2" }, { userAgent: "docker/28.0.0" }, { reference: tag("1.28") });
  all.state.now += 20_000;
  all.add({ reference: tag("1.28") });
  expect(all.shown.map(([image]) => image)).toEqual([
    "docker.io/library/nginx:1.28",
    "docker.io/library/nginx:1.28",
    "docker.io/library/nginx:1.27",
    "docker.io/library/nginx:1.27",
    "docker.io/library/nginx:1.27",
  ]);
});

test("a pull by digest has the tag that some client has asked for, or else one that is stored", async () => {
  const all = logOf((digest) => (digest === manifest ? tag("stored") : undefined));
  all.add({ digest: index, client: "10.0.0.9" });
  all.add({ reference: index, digest: index });
  all.add({ reference: manifest, digest: manifest, client: "10.0.0.2" });
  all.add({ reference: layer, digest: layer, client: "10.0.0.3" });
  // What is stored is looked up behind the request.
  const isKnown = (): boolean => all.shown.some(([image]) => String(image).endsWith(":stored"));
  await until(isKnown, { what: "the tag that is stored" });
  expect(all.shown.map(([image]) => image)).toEqual([
    `docker.io/library/nginx@${layer}`,
    "docker.io/library/nginx:stored",
    "docker.io/library/nginx:1.27",
    "docker.io/library/nginx:1.27",
  ]);
  const pulled = all.clients.take().map(({ client, reference }) => [client, reference as string]);
  expect(pulled).toContainEqual(["10.0.0.1", "1.27"]);
  expect(pulled).toContainEqual(["10.0.0.2", "stored"]);
});

test("a tag that is missing is a pull of its own, and the image beside it goes on", () => {
  const all = logOf();
  const signature = tag(`sha256-${"0".repeat(64)}.sig`);
  all.add({}, { reference: signature, result: "refused", reason: "docker.io has none" }, BLOB);
  expect(all.shown).toEqual([
    [`docker.io/library/nginx:${signature}`, "refused", 1],
    ["docker.io/library/nginx:1.27", "hit", 2],
  ]);
  expect(all.clients.take()).toHaveLength(1);
});

test("a large blob belongs to the pull in which it was asked for, whenever it ends", () => {
  const all = logOf();
  all.add({}, { reference: tag("1.28") }, { ...BLOB, milliseconds: 1500 });
  expect(all.shown).toEqual([
    ["docker.io/library/nginx:1.28", "hit", 1],
    ["docker.io/library/nginx:1.27", "hit", 2],
  ]);
});

test("fifty pulls are shown, whatever was pulled", () => {
  const all = logOf();
  for (let number = 0; number < 2000; number += 1) all.add({ client: `client ${number}` });
  expect(all.log.latest).toHaveLength(50);
  expect(all.log.latest[0]).toMatchObject({ id: 2000, client: "client 1999" });
  expect(all.clients.take()).toHaveLength(2000);
});

test("of pulls by tag, it is counted what was got for it, or that it was refused since it is held", () => {
  const all = logOf();
  all.add(
    { digest: index },
    { reference: index, digest: index },
    { client: "10.0.0.2", digest: index },
  );
  all.add({ client: "10.0.0.3", digest: manifest });
  all.add({ client: "10.0.0.4", result: "refused", isHeld: true, digest: undefined });
  all.add({ client: "10.0.0.5", result: "refused", digest: undefined });
  all.add({ client: "10.0.0.6", reference: index, digest: index });
  const counted = all.tagPulls.take().map(({ digest, pulls }) => [digest, pulls]);
  expect(counted).toEqual([
    [index, 2],
    [manifest, 1],
    [undefined, 1],
  ]);
});
