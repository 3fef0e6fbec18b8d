import { expect } from "bun:test";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { bigImage, layersOf } from "./harness/images/images.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { verifyStore } from "./harness/cache/store-files.ts";
import { startTokenIssuer } from "./harness/registries/token-issuer.ts";

const MIB = 1024 * 1024;

realTest(
  "twenty concurrent clients cause one download and one token request, within bounded memory",
  async () => {
    await using issuer = await startTokenIssuer();
    await using registry = await startDockerRegistry({ auth: issuer.auth });
    const image = await bigImage({ size: 200 * MIB });
    const authorization = issuer.authorization("big");
    await push(image, { url: registry.url, repository: "big", tag: "1", authorization });
    await registry.forget();
    await using cache = await startEntrepot({
      config: { upstreams: { "reg.test": localUpstream(registry.url) } },
    });
    const layer = layersOf(image).toSorted((a, b) => b.size - a.size)[0];
    const path = `/v2/big/blobs/${layer?.digest}?ns=reg.test`;

    const digests = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const response = await cache.get(path);
        expect(response.status).toBe(200);
        const hasher = new Bun.CryptoHasher("sha256");
        for await (const chunk of response.body ?? []) hasher.update(chunk);
        return `sha256:${hasher.digest("hex")}`;
      }),
    );

    expect(new Set(digests)).toEqual(new Set([layer?.digest ?? ""]));
    const requests = await registry.requests({ path: /\/blobs\// });
    const authorized = requests.filter(({ status }) => status !== 401);
    expect(authorized.reduce((sum, { sent }) => sum + sent, 0)).toBe(layer?.size ?? 0);
    expect(issuer.requests.length).toBe(1);
    expect(cache.peakMemory()).toBeLessThan(200 * MIB);
    expect(await verifyStore(cache.data)).toEqual([layer?.digest ?? ""]);

    const hit = await cache.get(path);
    expect(hit.headers.get("content-length")).toBe(String(layer?.size));
    expect(hit.headers.get("cache-status")).toBe("entrepot; hit");
    await hit.body?.cancel();
  },
  120_000,
);
