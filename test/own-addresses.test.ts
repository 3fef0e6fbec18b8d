import { expect, test } from "bun:test";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

test("an upstream that listens at an address of its own is served there only, and nothing else is", async () => {
  await using upstream = await startScriptedUpstream();
  const image = textImage({ text: "for those who reach its address" });
  upstream.add("app", image, "1");
  const port = freePort();
  const settings = localUpstream(upstream.url);
  await using cache = await startEntrepot({
    listen: `127.0.0.1:${port}`,
    config: {
      upstreams: {
        "open.test": settings,
        "port.test": { ...settings, port: freePort() },
        "one.test": { ...settings, listen: `127.0.0.2:${port}` },
        "two.test": { ...settings, listen: `127.0.0.3:${port}` },
      },
    },
  });
  const [main, ofPort] = [cache.url, cache.portUrl("port.test")];
  const [one, two] = [`http://127.0.0.2:${port}`, `http://127.0.0.3:${port}`];
  expect([cache.portUrl("one.test"), cache.portUrl("two.test")]).toEqual([one, two]);

  const tag = "/v2/app/manifests/1";
  const digest = `/v2/app/manifests/${image.manifest.digest}`;
  const ns = (name: string): string => `?ns=${name}`;
  const statuses = (base: string, path: string): Promise<number[]> =>
    Promise.all(
      ["open", "port", "one", "two"].map(
        async (name) => (await fetch(`${base}${path}${ns(`${name}.test`)}`)).status,
      ),
    );
  const blobs = image.blobs.map((blob) => `/v2/app/blobs/${blob.digest}`);
  // The tag twice: repeated requests are answered from memory.
  for (const path of [tag, digest, ...blobs, "/v2/app/tags/list", tag]) {
    expect(await statuses(main, path)).toEqual([200, 200, 404, 404]);
    expect(await statuses(ofPort, path)).toEqual([200, 200, 404, 404]);
    expect(await statuses(one, path)).toEqual([404, 404, 200, 404]);
    expect(await statuses(two, path)).toEqual([404, 404, 404, 200]);
  }
  expect(await statuses(main, "/v2/_catalog")).toEqual([200, 200, 404, 404]);

  // Without a namespace in the query.
  const status = async (url: string): Promise<number> => (await fetch(url)).status;
  expect(await status(`${one}${tag}`)).toBe(200);
  expect(await status(`${main}/v2/open.test/app/manifests/1`)).toBe(200);
  expect(await status(`${main}/v2/one.test/app/manifests/1`)).toBe(404);
  expect(await status(`${one}/v2/open.test/app/manifests/1`)).toBe(404);
  expect(await (await fetch(`${main}${tag}${ns("one.test")}`)).text()).toContain(
    "is not served at this address",
  );

  // What is said of it.
  const namesAt = async (base: string): Promise<unknown> =>
    (await fetch(`${base}/entrepot/v1/namespaces`)).json();
  expect(await namesAt(main)).toEqual({
    namespaces: ["open.test", "port.test"],
    ports: { "port.test": Number(new URL(ofPort).port) },
  });
  expect(await namesAt(one)).toEqual({ namespaces: ["one.test"] });
  const offeredAt = async (base: string): Promise<string> =>
    (await fetch(`${base}/entrepot/v1/images`)).text();
  expect(await offeredAt(one)).toContain("one.test/app@");
  expect(await offeredAt(one)).not.toContain("open.test/");
  expect(await offeredAt(main)).not.toContain("one.test/");
  expect(await (await cache.getAdmin("/api/v1/status")).json()).toMatchObject({
    listening: { listen: `127.0.0.1:${port}`, ports: { "one.test": `127.0.0.2:${port}` } },
  });
});
