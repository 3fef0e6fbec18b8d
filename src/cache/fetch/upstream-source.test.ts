import { expect, test } from "bun:test";
import { bytesOf, randomContent } from "../../../test/harness/images/content.ts";
import { startScriptedUpstream } from "../../../test/harness/registries/scripted-upstream.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { DownloadThread } from "../../upstream/download-thread/download-thread.ts";
import { openRegistryTransport } from "../../upstream/registry-transport.ts";
import { Registry } from "../../upstream/registry.ts";
import { digest, repository, settings } from "../../upstream/upstreamtest/test-servers.ts";
import { VerifyingStream } from "../fill/verifying-stream.ts";
import { UpstreamSource } from "./upstream-source.ts";

const MIB = 1024 * 1024;

test("clients that stop to read what is streamed to them leave the download thread its memory", async () => {
  const content = randomContent(2 * MIB);
  await using upstream = await startScriptedUpstream();
  upstream.addBlob("app", content);
  using thread = new DownloadThread({ limit: MIB / 4, budget: new ByteBudget(MIB / 4) });
  const transport = openRegistryTransport({ downloads: (tls) => thread.downloads(tls) });
  const configured = settings(upstream.url);
  const registry = new Registry(configured, transport);
  const repo = { upstream: registry.name, repository: repository("app") };
  const stream = async (): Promise<VerifyingStream> => {
    const source = new UpstreamSource(
      { settings: configured, registry },
      repo,
      digest(content.digest),
    );
    const opened = new VerifyingStream({
      digest: digest(content.digest),
      sources: [source],
      first: 0,
    });
    await opened.start();
    return opened;
  };
  const stopped = await Promise.all(Array.from({ length: 6 }, stream));
  for (const one of stopped) await one.read();
  const last = await stream();
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = await last.read();
    if (!chunk) break;
    chunks.push(chunk);
  }
  expect(Buffer.compare(Buffer.concat(chunks), bytesOf(content))).toBe(0);
  for (const one of stopped) one.cancel();
});
