import { expect, test } from "bun:test";
import { bytesOf, randomContent } from "../../../test/harness/images/content.ts";
import { stallAfter } from "../../../test/harness/faults/faults.ts";
import { startScriptedUpstream } from "../../../test/harness/registries/scripted-upstream.ts";
import { until } from "../../../test/harness/waiting.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { DownloadThread, startWorker } from "../../upstream/download-thread/download-thread.ts";
import { openRegistryTransport } from "../../upstream/registry-transport.ts";
import { Registry } from "../../upstream/registry.ts";
import { digest, repository, settings } from "../../upstream/upstreamtest/test-servers.ts";
import type { Source } from "../fetch/source.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";

const MIB = 1024 * 1024;

test("a fill whose download thread dies resumes: clients get every byte, and none is fetched twice", async () => {
  const content = randomContent(8 * MIB);
  await using upstream = await startScriptedUpstream();
  upstream.addBlob("app", content);
  upstream.respond(() =>
    upstream.requests({ kind: "blob" }).length > 1 ? undefined : stallAfter(5 * MIB),
  );
  const workers: Worker[] = [];
  const start = (): Worker => {
    const worker = startWorker();
    workers.push(worker);
    return worker;
  };
  using thread = new DownloadThread({ limit: MIB, budget: new ByteBudget(MIB), start });
  const transport = openRegistryTransport({ downloads: (tls) => thread.downloads(tls) });
  const registry = new Registry(settings(upstream.url), transport);
  const source: Source = {
    upstream: registry.name,
    name: "reg.test/app",
    open: (first, signal) =>
      registry.getBlob(repository("app"), digest(content.digest), first, { signal, lends: true }),
  };
  const fill = new Fill(digest(content.digest), new MemoryBlobStore(), source);
  const followers = Array.from({ length: 3 }, () =>
    new Response(
      follow(fill, { first: 0, giveUp: (fault) => expect(fault).toBeUndefined() }),
    ).bytes(),
  );
  await until(() => fill.received === 5 * MIB, { what: "what was sent" });
  workers[0]?.terminate();
  for (const bytes of await Promise.all(followers)) {
    expect(Buffer.compare(bytes, bytesOf(content))).toBe(0);
  }
  expect(upstream.requests({ kind: "blob" }).map(({ headers }) => headers.get("range"))).toEqual([
    null,
    `bytes=${5 * MIB}-`,
  ]);
  expect(workers).toHaveLength(2);
});
