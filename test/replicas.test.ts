import { describe, expect, test } from "bun:test";
import { randomContent } from "./harness/content.ts";
import * as faults from "./harness/faults.ts";
import { digestFrom, startReplicas } from "./harness/replicas.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";

const MIB = 1024 * 1024;

/** Bytes of blobs that the upstream has sent: a large blob is requested in parts. */
function sent(upstream: ScriptedUpstream): number {
  return upstream.requests({ kind: "blob" }).reduce((sum, request) => sum + request.sent, 0);
}

describe("three replicas", () => {
  test("have a blob downloaded once, however many clients of each want it", async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(16 * MIB);
    upstream.addBlob("app", blob);
    upstream.respond(() => faults.slow(20 * MIB));
    await using replicas = await startReplicas({ url: upstream.url });
    const clients = replicas.all.flatMap((replica) => Array.from({ length: 4 }, () => replica));
    const digests = await Promise.all(clients.map((replica) => digestFrom(replica, "app", blob)));
    expect(new Set(digests)).toEqual(new Set([blob.digest]));
    expect(sent(upstream)).toBe(blob.size);
  });
});
