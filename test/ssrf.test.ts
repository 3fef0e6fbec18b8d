import { expect, test } from "bun:test";
import { startDns } from "./harness/services/dns.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

const image = textImage({ text: "guarded" });

test("a redirect to a link-local address is refused, even from a private registry", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("app", image, "1");
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  for (const host of ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"]) {
    upstream.respond(() => faults.redirect(`http://${host}/latest/meta-data`));
    const digest = `sha256:${Bun.SHA256.hash(host, "hex")}`;
    const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
    expect([response.status, await response.text()]).toEqual([
      502,
      expect.stringContaining("a link-local address, which is not dialled"),
    ]);
  }
});

test("an upstream's own headers are not forwarded", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("app", image, "1");
  const config = {
    upstreams: { "reg.test": { ...localUpstream(upstream.url), bypass: ["open/*"] } },
  };
  upstream.add("open/app", image, "1");
  await using cache = await startEntrepot({ config });
  const headers = {
    "Set-Cookie": "session=evil",
    "X-Evil": "evil",
    "Strict-Transport-Security": "max-age=1; evil",
    "WWW-Authenticate": 'Basic realm="evil"',
    Warning: '299 - "evil"',
    Link: '<https://evil.test/>; rel="next"',
    Server: "evil",
    ETag: '"evil"',
    "Cache-Status": "evil; hit",
    "OCI-Namespace": "evil",
    "Access-Control-Allow-Origin": "https://evil.test",
  };
  upstream.respond(() => ({ headers }));
  const paths = ["manifests/1", ...image.blobs.map(({ digest }) => `blobs/${digest}`), "tags/list"];
  for (const repository of ["app", "open/app"]) {
    for (const method of ["HEAD", "GET"]) {
      for (const path of paths) {
        const got = await cache.get(`/v2/${repository}/${path}?ns=reg.test`, { method });
        expect([repository, method, path, got.status]).toEqual([repository, method, path, 200]);
        await got.bytes();
        const own = [...got.headers].filter(([name]) => name !== "link");
        expect(JSON.stringify(own)).not.toContain("evil");
        // The next page of a list is at the cache, not at the upstream's URL.
        expect(got.headers.get("link") ?? "</v2/").toStartWith("</v2/");
      }
    }
  }
});

const rootTest = process.getuid?.() === 0 ? test : test.skip;

rootTest(
  "a name that resolves to a private address, in any notation, is refused unless allowPrivate is set",
  async () => {
    await using dir = await tempDir("guard");
    await using dns = await startDns(dir);
    await using upstream = await startScriptedUpstream();
    upstream.add("app", image, "1");
    const port = upstream.address.split(":")[1];
    const forms = ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::1", "2002:7f00:1::"];
    const names = forms.map((address, i) => {
      const name = `form${i}.example`;
      dns.answer(name, address);
      return [name, { url: `http://${name}:${port}` }] as const;
    });
    const allowed = { url: `http://form0.example:${port}`, allowPrivate: true };
    const upstreams = { ...Object.fromEntries(names), "allowed.example": allowed };
    await using cache = await startEntrepot({ config: { upstreams }, program: dns.program });
    for (const [i, [name]] of names.entries()) {
      const response = await cache.get(`/v2/app/manifests/1?ns=${name}`);
      expect([name, response.status, await response.text()]).toEqual([
        name,
        502,
        expect.stringMatching(
          new RegExp(
            `refused to connect to form${i}\\.example for \\S+: it is \\S+, a .*not dialled`,
          ),
        ),
      ]);
    }
    expect(upstream.accepted).toBe(0);
    expect((await cache.get("/v2/app/manifests/1?ns=allowed.example")).status).toBe(200);
    expect(dns.queriedNames).toContain("form4.example");
  },
);
