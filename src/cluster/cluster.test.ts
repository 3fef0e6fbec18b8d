import { describe, expect, test } from "bun:test";
import { makeCertificateAuthority } from "../../test/harness/certificate-authority.ts";
import { freePort } from "../../test/harness/free-port.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { until } from "../../test/harness/waiting.ts";
import { sampleBlob } from "../cache/cachetest/scripted-source.ts";
import type { ClusterIdentity } from "../config/cluster-settings.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import {
  registry,
  serve,
  settings,
  type TestServer,
} from "../upstream/upstreamtest/test-servers.ts";
import {
  type LocalReplica,
  type LocalReplicaOptions,
  startLocalReplica,
  urlAt,
} from "./clustertest/local-replica.ts";
import { memberAt } from "./members/configured-members.ts";
import { rendezvousOrder } from "./members/order.ts";

const UPSTREAM = settings("http://reg.test").name;
const SIZE = 300_000;

function upstreamAt({ port }: TestServer): LocalReplicaOptions["upstream"] {
  return { settings: settings(`http://reg.test:${port}`), registry: registry(port) };
}

interface World extends AsyncDisposable {
  readonly upstream: TestServer;
  readonly ports: readonly number[];
  readonly start: (number: number, options?: Partial<LocalReplicaOptions>) => Promise<LocalReplica>;
  readonly startAll: () => Promise<LocalReplica[]>;
  /** A blob that is asked for in this order of replicas, by their numbers. */
  readonly blobFor: (...order: number[]) => { bytes: Uint8Array; digest: Digest };
}

/** An upstream with every blob of `app`, and ports for so many replicas. */
function world(count: number): World {
  const closing = new AsyncDisposableStack();
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const upstream = closing.use(
    serve(({ path, headers }) => {
      const bytes = blobs.get(path.split("/").at(-1) ?? "");
      if (!path.startsWith("/v2/app/") || !bytes) return new Response("", { status: 404 });
      const first = Number(/^bytes=(\d+)-/.exec(headers.get("range") ?? "")?.[1] ?? 0);
      if (first === 0) return new Response(bytes);
      const range = `bytes ${first}-${bytes.byteLength - 1}/${bytes.byteLength}`;
      return new Response(bytes.slice(first), { status: 206, headers: { "content-range": range } });
    }),
  );
  const ports = Array.from({ length: count }, () => freePort());
  const start: World["start"] = async (number, options = {}) => {
    const port = ports[number] ?? 0;
    const own = { upstream: upstreamAt(upstream), port, members: ports, ...options };
    return closing.use(await startLocalReplica(own));
  };
  let seed = 0;
  return {
    upstream,
    ports,
    start,
    async startAll() {
      const all = await Promise.all(ports.map((_, number) => start(number)));
      await Promise.all(all.map((replica) => knows(replica, count)));
      return all;
    },
    blobFor(...order) {
      const members = ports.map((port) => memberAt(urlAt(port)));
      for (;;) {
        const blob = sampleBlob(SIZE, (seed += 1));
        const found = rendezvousOrder(members, UPSTREAM, blob.digest).map((member) =>
          members.indexOf(member),
        );
        if (order.some((number, at) => found[at] !== number)) continue;
        blobs.set(blob.digest, blob.bytes);
        return blob;
      }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Waits until a replica has heard of so many living ones, itself included. */
function knows(replica: LocalReplica, count: number): Promise<unknown> {
  const living = (): boolean =>
    replica.cluster.status().members.filter(({ state }) => state === "this" || state === "living")
      .length === count;
  return until(living, { what: `${count} living members` });
}

const one = <Value>(values: readonly Value[], at: number): Value => {
  const value = values[at];
  if (value === undefined) throw new Error(`there is no replica ${at}`);
  return value;
};

describe("replicas", () => {
  test("download a blob once for all, and ask the upstream nothing besides", async () => {
    await using here = world(3);
    const all = await here.startAll();
    const blob = here.blobFor();
    const bodies = await Promise.all(all.map((replica) => replica.blob(blob.digest)));
    for (const body of bodies) expect(body).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
    // What another one has vouched for is a hit from then on.
    for (const replica of all) await replica.blob(blob.digest);
    expect(here.upstream.requests).toHaveLength(1);
  });

  test("have what the others stored before they came", async () => {
    await using here = world(2);
    const blob = here.blobFor(0, 1);
    const second = await here.start(1);
    await second.blob(blob.digest);
    const first = await here.start(0);
    expect(await first.blob(blob.digest)).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
  });

  test("go on without one that is gone, in the order of those that are left", async () => {
    await using here = world(3);
    const [first, second, third] = [await here.start(0), await here.start(1), await here.start(2)];
    const blob = here.blobFor(0, 1, 2);
    await first[Symbol.asyncDispose]();
    const bodies = await Promise.all([second.blob(blob.digest), third.blob(blob.digest)]);
    for (const body of bodies) expect(body).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
    await until(() => second.problems().includes("silent-member"), { what: "the problem" });
    // An operator takes it off the list.
    second.cluster.configure({ ...second.settings, members: here.ports.slice(1).map(urlAt) });
    expect(second.problems()).not.toContain("silent-member");
    expect(second.cluster.size).toBe(2);
  });

  test("show each other only what may be seen in a place", async () => {
    await using here = world(2);
    const all = await here.startAll();
    const blob = here.blobFor(0, 1);
    await one(all, 0).blob(blob.digest);
    expect(one(all, 1).blob(blob.digest, "private")).rejects.toThrow("has no blob");
    expect(await one(all, 1).blob(blob.digest)).toEqual(blob.bytes);
  });

  test("are not asked to download what their own nodes may not have", async () => {
    await using here = world(2);
    const first = await here.start(0, { denied: ["app"] });
    const second = await here.start(1);
    await Promise.all([knows(first, 2), knows(second, 2)]);
    const blob = here.blobFor(0, 1);
    expect(await second.blob(blob.digest)).toEqual(blob.bytes);
    expect(first.cache.fills.count).toBe(0);
    expect(here.upstream.requests).toHaveLength(1);
  });

  test("that know each other by other names download at most once each, and wait for nobody", async () => {
    await using here = world(2);
    const named = here.ports.map((port) => new URL(`http://localhost:${port}`));
    const first = await here.start(0);
    const second = await here.start(1, { cluster: { members: named } });
    for (let n = 0; n < 12; n += 1) {
      const blob = here.blobFor();
      const before = here.upstream.requests.length;
      const bodies = await Promise.all([first.blob(blob.digest), second.blob(blob.digest)]);
      for (const body of bodies) expect(body).toEqual(blob.bytes);
      expect(here.upstream.requests.length - before).toBeWithin(1, 3);
    }
    const problems = () => new Set([...first.problems(), ...second.problems()]);
    await until(() => problems().size > 0, { what: "the problem" });
    expect(problems()).toEqual(new Set(["members-differ"]));
  });

  test("manifests by digest come from one download as well", async () => {
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/json", digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: [],
    });
    const digest = digestOf(Buffer.from(text));
    using upstream = serve(
      () =>
        new Response(text, {
          headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
        }),
    );
    await using here = world(3);
    const options = { upstream: upstreamAt(upstream) };
    const all = await Promise.all([0, 1, 2].map((number) => here.start(number, options)));
    await Promise.all(all.map((replica) => knows(replica, 3)));
    const texts = await Promise.all(all.map((replica) => replica.manifest(digest)));
    expect(new Set(texts)).toEqual(new Set([text]));
    expect(upstream.requests).toHaveLength(1);
  });
});

describe("a replica serves alone, and says why, if", () => {
  test("its secret differs", async () => {
    await using here = world(2);
    const first = await here.start(0);
    const second = await here.start(1, { cluster: { secret: "another secret of a cluster" } });
    const blob = here.blobFor(0, 1);
    expect(await second.blob(blob.digest)).toEqual(blob.bytes);
    expect(await first.blob(blob.digest)).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(2);
    for (const replica of [first, second]) {
      await until(() => replica.problems().includes("wrong-secret"), { what: "the problem" });
    }
  });

  test("its clock is an hour ahead", async () => {
    await using here = world(2);
    const first = await here.start(0);
    const second = await here.start(1, { now: () => Date.now() + 3_600_000 });
    const blob = here.blobFor(0, 1);
    expect(await second.blob(blob.digest)).toEqual(blob.bytes);
    for (const replica of [first, second]) {
      await until(() => replica.problems().includes("clock"), { what: "the problem" });
    }
    const [problem] = second.cluster.problems.current;
    expect(problem?.text).toContain("(this machine is 3600 s ahead of it)");
  });

  test("a member is somebody else's server, whatever that answers", async () => {
    await using here = world(2);
    const blob = here.blobFor(0, 1);
    const wrong = sampleBlob(SIZE, 99_999).bytes;
    const asked: string[] = [];
    using _ = Bun.serve({
      hostname: "127.0.0.1",
      port: one(here.ports, 0),
      fetch({ url }) {
        asked.push(url);
        const range = `bytes 0-${SIZE - 1}/${SIZE}`;
        const headers = { "content-range": range, "entrepot-answered-ago": "0" };
        return new Response(wrong, { status: 206, headers });
      },
    });
    const replica = await here.start(1);
    expect(await replica.blob(blob.digest)).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
    await until(() => replica.problems().includes("foreign-member"), { what: "the problem" });
    expect(asked.length).toBeGreaterThan(0);
  });

  test("another one has its address", async () => {
    await using here = world(2);
    const first = await here.start(0);
    const twin = await here.start(1, { cluster: { advertise: urlAt(one(here.ports, 0)) } });
    // Whoever came first hears of it, and so does the other one.
    for (const replica of [first, twin])
      await until(() => replica.problems().includes("duplicate-id"), { what: "the problem" });
    // It is found at the address where it answers itself.
    await knows(twin, 2);
    const blob = here.blobFor(0, 1);
    const bodies = await Promise.all([first.blob(blob.digest), twin.blob(blob.digest)]);
    for (const body of bodies) expect(body).toEqual(blob.bytes);
  });
});

test("lists of members that differ are told by both, until they are the same", async () => {
  await using here = world(3);
  const [all, two] = [here.ports.map(urlAt), here.ports.slice(0, 2).map(urlAt)];
  const replicas = [
    await here.start(0, { cluster: { members: all } }),
    await here.start(1, { cluster: { members: two } }),
    // All but itself: the same as all.
    await here.start(2, { cluster: { members: two } }),
  ];
  const told = () => replicas.map((replica) => replica.problems().join());
  const expected = replicas.map(() => "members-differ");
  await until(() => Bun.deepEquals(told(), expected), { what: "the problem" });
  const { text } = one(one(replicas, 0).cluster.problems.current, 0);
  expect(text).toContain(`it lacks ${one(all, 2).origin}`);
  const second = one(replicas, 1);
  second.cluster.configure({ ...second.settings, members: all });
  // The others hear of it with their next look.
  await until(() => second.problems().length === 0, { what: "the end of the problem" });
});

describe("replicas over HTTPS", () => {
  test("download a blob once, and tell of a certificate that has expired until it is renewed", async () => {
    await using dir = await tempDir("cluster-tls");
    const authority = await makeCertificateAuthority(dir);
    const identity = async (name: string, days?: number): Promise<ClusterIdentity> => {
      const signed = await authority.sign(name, "IP:127.0.0.1", days);
      const [certificate, key] = [signed.certificateFile, signed.keyFile].map((file) =>
        Bun.file(file).text(),
      );
      return {
        certificate: (await certificate) ?? "",
        key: (await key) ?? "",
        ca: await authority.certificate(),
      };
    };
    const [valid, expired] = await Promise.all([identity("valid"), identity("expired", -1)]);
    await using here = world(2);
    const members = here.ports.map((port) => new URL(`https://127.0.0.1:${port}`));
    const cluster = (number: number, tls: ClusterIdentity) => ({
      members,
      tls,
      advertise: one(members, number),
    });
    const first = await here.start(0, { cluster: cluster(0, expired) });
    const second = await here.start(1, { cluster: cluster(1, valid) });
    const blob = here.blobFor();
    const bodies = await Promise.all([first.blob(blob.digest), second.blob(blob.digest)]);
    for (const body of bodies) expect(body).toEqual(blob.bytes);
    await until(() => second.problems().includes("member-certificate"), { what: "the problem" });
    await until(() => first.problems().join() === "own-certificate", { what: "the problem" });

    first.cluster.configure({ ...first.settings, ...cluster(0, valid) });
    await Promise.all([knows(first, 2), knows(second, 2)]);
    expect([...first.problems(), ...second.problems()]).toEqual([]);
    const requests = here.upstream.requests.length;
    const other = here.blobFor();
    const others = await Promise.all([first.blob(other.digest), second.blob(other.digest)]);
    for (const body of others) expect(body).toEqual(other.bytes);
    expect(here.upstream.requests).toHaveLength(requests + 1);
  });
});
