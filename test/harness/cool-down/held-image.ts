import { expect } from "bun:test";
import { type RawResponse, rawRequest } from "../access/raw-request.ts";
import { localUpstream } from "../cache/entrepot.ts";
import { freePort } from "../free-port.ts";
import { bytesOf, type Content } from "../images/content.ts";
import {
  allBlobs,
  allManifests,
  artifact,
  fallbackTag,
  type Image,
  multiPlatformImage,
  referrersIndex,
} from "../images/images.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "../registries/private-registry.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../registries/scripted-upstream.ts";
import { CoolDownWorld, DAY } from "./cool-down-world.ts";

const RULES = ["docker.io/**", "private.test/**"].map((match) => {
  return { match, minAge: "3d", digests: "hold" };
});

interface Parts {
  readonly world: CoolDownWorld;
  readonly mirror: ScriptedUpstream;
  readonly hub: PrivateRegistry;
  readonly before: Image;
  readonly now: Image;
}

/**
 * An image that its tags got just now, in many places: `library/node:24` of a registry with a mirror, the same where
 * it is not held, where nothing is stored, and where only ann may see it.
 */
export class HeldImage implements AsyncDisposable {
  readonly world: CoolDownWorld;
  /** The image that the tags had for nine days. */
  readonly before: Image;
  readonly now: Image;
  readonly #mirror: ScriptedUpstream;
  readonly #hub: PrivateRegistry;

  private constructor({ world, mirror, hub, before, now }: Parts) {
    this.world = world;
    this.before = before;
    this.now = now;
    this.#mirror = mirror;
    this.#hub = hub;
  }

  static async start(): Promise<HeldImage> {
    const [mirror, hub, before, now] = await Promise.all([
      startScriptedUpstream(),
      startPrivateRegistry(),
      multiPlatformImage({ text: "the image before" }),
      multiPlatformImage({ text: "the image that is held" }),
    ]);
    hub.grant("ann", "team/app");
    const world = await CoolDownWorld.start({
      name: "docker.io",
      policies: RULES,
      upstream: { port: freePort(), bypass: ["never/**"], mirrors: [localUpstream(mirror.url)] },
      upstreams: (url) => ({
        "other.test": localUpstream(url),
        "private.test": { ...localUpstream(hub.upstream.url), access: "upstream" },
      }),
      config: { workers: 2, listen: "127.0.0.1:0" },
    });
    const held = new HeldImage({ world, mirror, hub, before, now });
    await held.#pullBefore();
    await world.clock.forward(9 * DAY);
    await held.#move();
    return held;
  }

  /** The upstream's own port. */
  get port(): string {
    return new URL(this.world.cache.portUrl("docker.io")).host;
  }

  ask(
    path: string,
    {
      method = "GET",
      headers = {},
      at = this.world.cache.address,
    }: { method?: string; headers?: Record<string, string>; at?: string } = {},
  ): Promise<RawResponse> {
    return rawRequest(at, path, { method, headers });
  }

  askAsAnn(path: string, method = "GET"): Promise<RawResponse> {
    const headers = { authorization: basicOf("ann") };
    return this.ask(`/v2/team/app/${path}?ns=private.test`, { method, headers });
  }

  /** What only the held image is made of. */
  get secrets(): readonly Content[] {
    const { before, now } = this;
    const known = new Set(
      [...allManifests(before), ...allBlobs(before)].map(({ digest }) => digest),
    );
    return [...allManifests(now), ...allBlobs(now)].filter(({ digest }) => !known.has(digest));
  }

  /** Nothing of the held image: neither its bytes, nor that they are here. */
  expectHeld(name: string, response: RawResponse): void {
    const { status, headers, body } = response;
    expect([name, status >= 400, status]).toEqual([name, true, expect.any(Number)]);
    this.expectNothingOf(name, response);
    const told = Object.keys(headers).filter((it) => /digest|etag|content-range|location/.test(it));
    expect([name, told]).toEqual([name, []]);
    expect([name, body.byteLength < 2000]).toEqual([name, true]);
  }

  expectNothingOf(name: string, { headers, body }: RawResponse): void {
    const { "docker-content-digest": digest = "", etag = "" } = headers;
    for (const secret of this.secrets) {
      const isTold = digest.includes(secret.digest) || etag.includes(secret.digest);
      const isGiven = body.includes(bytesOf(secret).subarray(0, 200));
      expect([name, secret.digest, isTold, isGiven]).toEqual([name, secret.digest, false, false]);
    }
  }

  /** The tag is the image before, and all of that can be had; nothing of the held one can. */
  async expectHeldBack(when: string): Promise<void> {
    const { status, headers } = await this.ask("/v2/library/node/manifests/24?ns=docker.io");
    const told = [when, status, headers["docker-content-digest"]];
    expect(told).toEqual([when, 200, this.before.manifest.digest]);
    expect([when, headers["warning"]]).toEqual([when, expect.stringContaining("held: ")]);
    for (const path of partsOf(this.before)) {
      const part = await this.ask(`/v2/library/node/${path}?ns=docker.io`);
      const shown = part.status === 200 ? "" : part.body.toString();
      expect([when, path, part.status, shown]).toEqual([when, path, 200, ""]);
    }
    for (const { digest } of this.secrets) {
      for (const kind of ["manifests", "blobs"]) {
        for (const method of ["HEAD", "GET"]) {
          const path = `/v2/library/node/${kind}/${digest}?ns=docker.io`;
          this.expectHeld(`${when}: ${method} ${path}`, await this.ask(path, { method }));
        }
      }
    }
  }

  async withRegistriesDown(what: () => Promise<void>): Promise<void> {
    const registries = [this.world.upstream, this.#mirror];
    await Promise.all(registries.map((one) => one.stop()));
    try {
      await what();
    } finally {
      await Promise.all(registries.map((one) => one.start()));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
    await this.#mirror[Symbol.asyncDispose]();
    await this.#hub[Symbol.asyncDispose]();
  }

  async #pullBefore(): Promise<void> {
    for (const repository of ["library/node", "never/stored"]) {
      this.world.upstream.add(repository, this.before, "24", "old");
      for (const path of ["manifests/24", ...partsOf(this.before)]) {
        const { status } = await this.ask(`/v2/${repository}/${path}?ns=docker.io`);
        expect([repository, path, status]).toEqual([repository, path, 200]);
      }
    }
    this.#hub.upstream.add("team/app", this.before, "1");
    for (const path of ["manifests/1", ...partsOf(this.before)]) {
      expect([path, (await this.askAsAnn(path)).status]).toEqual([path, 200]);
    }
  }

  async #move(): Promise<void> {
    const { now } = this;
    this.#hub.upstream.add("team/app", now, "1");
    const signature = artifact(now, { text: "a signature of the held image" });
    const tag = fallbackTag(now);
    for (const registry of [this.world.upstream, this.#mirror]) {
      for (const repository of ["library/node", "never/stored"]) {
        registry.add(repository, now, "24");
        registry.add(repository, signature);
        registry.add(repository, referrersIndex([signature]), tag, `${tag}.sig`);
      }
    }
    expect((await this.ask("/v2/library/node/manifests/24")).status).toBe(200);
    // Where it is not held, all of it is stored, under another name.
    const elsewhere = await this.ask("/v2/library/node/manifests/24?ns=other.test");
    expect(elsewhere.headers["docker-content-digest"]).toBe(now.manifest.digest);
    for (const path of partsOf(now)) {
      const { status } = await this.ask(`/v2/library/node/${path}?ns=other.test`);
      expect([path, status]).toEqual([path, 200]);
    }
  }
}

/** What an image is made of. */
export function partsOf(image: Image): string[] {
  return [
    ...allManifests(image).map(({ digest }) => `manifests/${digest}`),
    ...allBlobs(image).map(({ digest }) => `blobs/${digest}`),
  ];
}
