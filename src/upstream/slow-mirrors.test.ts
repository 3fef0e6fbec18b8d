import { expect, test } from "bun:test";
import { digestOf } from "../oci/digest.ts";
import { Registry } from "./registry.ts";
import { openRegistryTransport } from "./registry-transport.ts";
import { loopbackResolver, repository, serve, settings } from "./upstreamtest/test-servers.ts";

test("a caller leaves one mirror after the other, and then the registry itself is asked", async () => {
  const named = (name: string) => serve(() => new Response(name));
  using first = named("first");
  using second = named("second");
  using last = named("registry");
  const mirrors = [first, second].map(({ port }) => ({
    url: new URL(`http://mirror.test:${port}`),
    allowPrivate: true,
    overridePath: false,
    resolve: true,
  }));
  const subject = new Registry(
    settings(`http://reg.test:${last.port}`, { mirrors }),
    openRegistryTransport({ resolver: loopbackResolver }),
  );
  const digest = digestOf(new Uint8Array());
  const open = (avoided?: Set<string>) =>
    subject.getBlob(repository("team/app"), digest, 0, avoided ? { avoided } : {});
  const avoided = new Set<string>();
  const seen: string[] = [];
  for (;;) {
    const { body, nextHost } = await open(avoided);
    seen.push(await new Response(body).text());
    if (!nextHost) break;
    nextHost();
  }
  expect(seen).toEqual(["first", "second", "registry"]);
  // Others still ask the first one.
  expect(await new Response((await open()).body).text()).toBe("first");
});
