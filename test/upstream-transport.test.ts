import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { makeCertificateAuthority } from "./harness/certificate-authority.ts";
import { makeCertificate } from "./harness/certificates.ts";
import { randomContent } from "./harness/content.ts";
import { startDockerRegistry } from "./harness/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { textImage } from "./harness/images.ts";
import { startNginx } from "./harness/nginx.ts";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { push } from "./harness/push.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { startTinyproxy } from "./harness/tinyproxy.ts";

const image = textImage({ text: "by road" });
const path = "/v2/app/manifests/1?ns=reg.test";

describe("a forward proxy (tinyproxy)", () => {
  realTest(
    "carries every byte of an https upstream, by CONNECT and with its credentials",
    async () => {
      await using dir = await tempDir("roads");
      const certificate = await makeCertificate(dir);
      await using upstream = await startScriptedUpstream({ certificate });
      await using proxy = await startTinyproxy({ user: "me", password: "pass" });
      const blob = randomContent(6_000_000, 1);
      upstream.add("app", image, "1");
      upstream.addBlob("app", blob);
      const settings = {
        ...localUpstream(upstream.url),
        proxy: `http://me:pass@${proxy.address}`,
        ca: certificate.certificateFile,
      };
      await using cache = await startEntrepot({ config: { upstreams: { "reg.test": settings } } });
      expect((await cache.get(path)).status).toBe(200);
      const got = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
      expect((await got.bytes()).length).toBe(blob.size);
      const asked = proxy.requests();
      expect(asked.length).toBeGreaterThan(0);
      expect(new Set(asked)).toEqual(new Set([`CONNECT ${upstream.address} HTTP/1.1`]));
      // All that arrived came through it.
      expect(upstream.accepted).toBe(asked.length);
    },
  );

  realTest(
    "carries http as well, and the environment's is used where NO_PROXY does not except it",
    async () => {
      const own = Object.values(networkInterfaces())
        .flat()
        .find((one) => one?.family === "IPv4" && !one.internal)?.address;
      if (own === undefined) return; // A machine without a network has no address that is proxied.
      await using upstream = await startScriptedUpstream({ host: own });
      await using proxy = await startTinyproxy();
      upstream.add("app", image, "1", "2");
      const upstreams = {
        "reg.test": localUpstream(upstream.url),
        "straight.test": { ...localUpstream(upstream.url), proxy: "none" },
      };
      const env = { http_proxy: `http://${proxy.address}`, no_proxy: "corp.test" };
      await using cache = await startEntrepot({ config: { upstreams }, env });
      expect((await cache.get(path)).status).toBe(200);
      expect(proxy.requests()).toEqual([`GET ${upstream.url}/v2/app/manifests/1 HTTP/1.1`]);
      expect((await cache.get("/v2/app/manifests/2?ns=straight.test")).status).toBe(200);
      expect(proxy.requests().length).toBe(1);
    },
  );

  realTest(
    "that refuses is named, with its place in the configuration, and without its password",
    async () => {
      await using dir = await tempDir("roads");
      const certificate = await makeCertificate(dir);
      await using upstream = await startScriptedUpstream({ certificate });
      await using proxy = await startTinyproxy({ user: "me", password: "pass" });
      const settings = { ...localUpstream(upstream.url), ca: certificate.certificateFile };
      const upstreams = {
        "wrong.test": { ...settings, proxy: `http://me:wrong@${proxy.address}` },
        "dead.test": { ...settings, proxy: `http://127.0.0.1:${freePort()}` },
      };
      await using cache = await startEntrepot({ config: { upstreams } });
      const told = async (ns: string) => {
        const response = await cache.get(`/v2/app/manifests/1?ns=${ns}`);
        expect(response.status).toBe(502);
        return response.text();
      };
      const wrong = await told("wrong.test");
      expect(wrong).toMatch(
        /the proxy 127\.0\.0\.1:\d+ \(\S*entrepot\.yaml:\d+:\d+\) refuses to connect to/,
      );
      expect(wrong).toContain("check the user and password");
      expect(wrong).not.toContain("me:wrong");
      expect(await told("dead.test")).toContain("refuses connections: is it running?");
      expect(upstream.accepted).toBe(0);
    },
  );
});

realTest(
  "an nginx with a private CA that wants a client certificate, before docker-registry",
  async () => {
    await using dir = await tempDir("roads");
    const authority = await makeCertificateAuthority(dir);
    const server = await authority.sign("server", "IP:127.0.0.1");
    const client = await authority.sign("client", "DNS:cache");
    await using registry = await startDockerRegistry();
    await push(image, { url: registry.url, repository: "app", tag: "1" });
    const clientAuthority = authority.certificateFile;
    await using nginx = await startNginx(dir, { upstream: registry.url, server, clientAuthority });
    const base = { ...localUpstream(`https://${nginx.address}`) };
    const upstreams = {
      "reg.test": {
        ...base,
        ca: authority.certificateFile,
        clientCertificate: client.certificateFile,
        clientKey: client.keyFile,
      },
      "nameless.test": { ...base, ca: authority.certificateFile },
      "distrusted.test": base,
    };
    await using cache = await startEntrepot({ config: { upstreams } });
    expect((await cache.get(path)).status).toBe(200);
    for (const { digest, size } of image.blobs) {
      const blob = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
      expect((await blob.bytes()).length).toBe(size);
    }
    const nameless = await cache.get("/v2/app/manifests/1?ns=nameless.test");
    expect([nameless.status, await nameless.text()]).toEqual([
      502,
      expect.stringContaining("nameless.test"),
    ]);
    const distrusted = await cache.get("/v2/app/manifests/1?ns=distrusted.test");
    expect([distrusted.status, await distrusted.text()]).toEqual([
      502,
      expect.stringContaining("a CA that is not trusted"),
    ]);
  },
);

test("an upstream at an IPv6 address", async () => {
  const has = Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.address === "::1");
  if (!has) return; // A machine without IPv6.
  await using upstream = await startScriptedUpstream({ host: "::1" });
  upstream.add("app", image, "1");
  const port = upstream.address.slice(upstream.address.lastIndexOf(":") + 1);
  const settings = localUpstream(`http://[::1]:${port}`);
  await using cache = await startEntrepot({ config: { upstreams: { "reg.test": settings } } });
  expect((await cache.get(path)).status).toBe(200);
});
