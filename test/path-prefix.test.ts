import { expect, test } from "bun:test";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

test("nodes that ask below a path, as with http.prefix of registry:2, are served at that upstream's address", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("app", textImage({ text: "content" }), "1");
  const base = localUpstream(upstream.url);
  await using cache = await startEntrepot({
    config: {
      upstreams: {
        "own.test": { ...base, port: freePort(), pathPrefix: "/old/cache/" },
        "shared.test": { ...base, pathPrefix: "/mirror/" },
      },
    },
  });
  const own = cache.portUrl("own.test");
  const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;
  const manifest = "v2/app/manifests/1";
  expect({
    ping: await statusOf(`${own}/old/cache/v2/`),
    own: await statusOf(`${own}/old/cache/${manifest}`),
    withoutPrefix: await statusOf(`${own}/${manifest}`),
    ofAnother: await statusOf(`${own}/mirror/${manifest}`),
    shared: await statusOf(`${cache.url}/mirror/${manifest}?ns=shared.test`),
    atListen: await statusOf(`${cache.url}/old/cache/${manifest}?ns=own.test`),
    traversal: await statusOf(`${own}/old/cache/v2/app//manifests/1`),
  }).toEqual({
    ping: 200,
    own: 200,
    withoutPrefix: 200,
    ofAnother: 404,
    shared: 200,
    atListen: 404,
    traversal: 400,
  });
  const tags = await fetch(`${own}/old/cache/v2/_catalog?n=0`);
  expect(tags.status).toBe(200);
});
