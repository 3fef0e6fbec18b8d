import { expect, test } from "bun:test";
import { freePort } from "../../../test/harness/free-port.ts";
import { until } from "../../../test/harness/waiting.ts";
import { sampleBlob } from "../../cache/cachetest/scripted-source.ts";
import { registry, serve, settings } from "../../upstream/upstreamtest/test-servers.ts";
import { SECRET, startLocalReplica, urlAt } from "../clustertest/local-replica.ts";
import { memberAt } from "../members/configured-members.ts";
import { rendezvousOrder } from "../members/order.ts";
import { HEADERS, provenParts } from "./protocol.ts";
import { Signatures } from "./signature.ts";

/** A member that answers pings until it freezes: then it takes requests, and answers none. */
function freezingMember(port: number) {
  const signatures = new Signatures(SECRET);
  const questions: string[] = [];
  let isFrozen = false;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port,
    fetch(request) {
      if (isFrozen) {
        if (!request.url.endsWith("/ping")) questions.push(request.url);
        return new Promise<Response>(() => {});
      }
      const headers = new Headers({ [HEADERS.replica]: `${urlAt(port).origin} frozen` });
      const authorization = request.headers.get("authorization") ?? "";
      headers.set(HEADERS.proof, signatures.prove(authorization, provenParts(200, headers)));
      return new Response(null, { headers });
    },
  });
  return {
    questions,
    freeze: () => void (isFrozen = true),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

test("where several members freeze at once, a download waits for one of them, and so does who is asked next", async () => {
  await using closing = new AsyncDisposableStack();
  const ports = Array.from({ length: 5 }, () => freePort());
  const members = ports.map((port) => memberAt(urlAt(port)));
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const origin = closing.use(
    serve(({ path }) => new Response(blobs.get(path.split("/").at(-1) ?? ""))),
  );
  const own = settings(`http://reg.test:${origin.port}`);
  const upstream = { settings: own, registry: registry(origin.port) };
  let seed = 0;
  const blobFor = (...order: number[]) => {
    for (;;) {
      const blob = sampleBlob(1000, (seed += 1));
      const found = rendezvousOrder(members, own.name, blob.digest);
      if (order.some((number, at) => found[at] !== members[number])) continue;
      blobs.set(blob.digest, blob.bytes);
      return blob;
    }
  };
  const frozen = ports.slice(0, 3).map((port) => closing.use(freezingMember(port)));
  const replicas = await Promise.all(
    ports.slice(3).map((port) => startLocalReplica({ upstream, port, members: ports })),
  );
  for (const replica of replicas) {
    closing.use(replica);
    const living = () =>
      replica.cluster.status().members.every(({ state }) => state === "this" || state === "living");
    await until(living, { what: "five living members" });
  }
  const [, asking] = replicas;
  for (const { freeze } of frozen) freeze();

  const [alone, followed] = [blobFor(0, 1, 2, 4), blobFor(0, 3, 4, 1)];
  const bodies = await Promise.all(
    [alone, followed].map(async ({ digest }) => asking?.blob(digest)),
  );
  expect(bodies).toEqual([alone.bytes, followed.bytes]);
  const asked = (digest: string): number[] =>
    frozen.map(({ questions }) => questions.filter((url) => url.includes(digest)).length);
  expect(asked(alone.digest)).toEqual([1, 0, 0]);
  expect(asked(followed.digest)).toEqual([1, 0, 0]);
  expect(origin.requests).toHaveLength(2);
});
