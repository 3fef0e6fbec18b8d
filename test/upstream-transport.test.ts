import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { makeCertificateAuthority } from "./harness/services/certificate-authority.ts";
import { makeCertificate } from "./harness/services/certificates.ts";
import { randomContent } from "./harness/images/content.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { startNginx } from "./harness/registries/nginx.ts";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { startTinyproxy } from "./harness/registries/tinyproxy.ts";

const image = textImage({ text: "transport" });
const path = "/v2/app/manifests/1?ns=reg.test";

describe("a forward proxy (tinyproxy)", () => {
  realTest(
    "carries all traffic of an HTTPS upstream through CONNECT, with the proxy's credentials",
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
      const requests = proxy.requests();
      expect(requests.length).toBeGreaterThan(0);
      expect(new Set(requests)).toEqual(new Set([`CONNECT ${upstream.address} HTTP/1.1`]));
      // Every connection came through the proxy.
      expect(upstream.accepted).toBe(requests.length);
    },
  );

  realTest(
    "from http_proxy carries the traffic of an HTTP upstream, unless its settings say none",
    async () => {
      const address = Object.values(networkInterfaces())
        .flat()
        .find((one) => one?.family === "IPv4" && !one.internal)?.address;
      if (address === undefined) return; // Without a network there is only loopback, which is never proxied.
      await using upstream = await startScriptedUpstream({ host: address });
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
    "that fails is named in the error, with its position in the configuration and without its password",
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
      const errorText = async (ns: string) => {
        const response = await cache.get(`/v2/app/manifests/1?ns=${ns}`);
        expect(response.status).toBe(502);
        return response.text();
      };
      const wrong = await errorText("wrong.test");
      expect(wrong).toMatch(
        /the proxy 127\.0\.0\.1:\d+ \(\S*entrepot\.yaml:\d+:\d+\) refuses to connect to/,
      );
      expect(wrong).toContain("check the user and password");
      expect(wrong).not.toContain("me:wrong");
      expect(await errorText("dead.test")).toContain("refuses connections: is it running?");
      expect(upstream.accepted).toBe(0);
    },
  );
});

realTest(
  "an upstream with a private CA and mutual TLS is reached with ca and clientCertificate only",
  async () => {
    await using dir = await tempDir("roads");
    const ca = await makeCertificateAuthority(dir);
    const server = await ca.sign("server", "IP:127.0.0.1");
    const client = await ca.sign("client", "DNS:cache");
    await using registry = await startDockerRegistry();
    await push(image, { url: registry.url, repository: "app", tag: "1" });
    const clientAuthority = ca.certificateFile;
    await using nginx = await startNginx(dir, { upstream: registry.url, server, clientAuthority });
    const base = { ...localUpstream(`https://${nginx.address}`) };
    const upstreams = {
      "reg.test": {
        ...base,
        ca: ca.certificateFile,
        clientCertificate: client.certificateFile,
        clientKey: client.keyFile,
      },
      "nameless.test": { ...base, ca: ca.certificateFile },
      "distrusted.test": base,
    };
    await using cache = await startEntrepot({ config: { upstreams } });
    expect((await cache.get(path)).status).toBe(200);
    for (const { digest, size } of image.blobs) {
      const blob = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
      expect((await blob.bytes()).length).toBe(size);
    }
    const withoutClientCertificate = await cache.get("/v2/app/manifests/1?ns=nameless.test");
    expect([withoutClientCertificate.status, await withoutClientCertificate.text()]).toEqual([
      502,
      expect.stringContaining("nameless.test"),
    ]);
    const withoutCa = await cache.get("/v2/app/manifests/1?ns=distrusted.test");
    expect([withoutCa.status, await withoutCa.text()]).toEqual([
      502,
      expect.stringContaining("a CA that is not trusted"),
    ]);
  },
);

test("an upstream at an IPv6 address is reached", async () => {
  const hasIpv6 = Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.address === "::1");
  if (!hasIpv6) return; // A machine without IPv6.
  await using upstream = await startScriptedUpstream({ host: "::1" });
  upstream.add("app", image, "1");
  const port = upstream.address.slice(upstream.address.lastIndexOf(":") + 1);
  const settings = localUpstream(`http://[::1]:${port}`);
  await using cache = await startEntrepot({ config: { upstreams: { "reg.test": settings } } });
  expect((await cache.get(path)).status).toBe(200);
});
