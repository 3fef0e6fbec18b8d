import { expect, test } from "bun:test";
import type { MetadataStore } from "../metadata-store.ts";
import { repositoryRef } from "./sample-names.ts";

/** The part of the suite of `MetadataStore` that is about access: what upstreams said of it, and show to anybody. */
export function accessConformance(
  metadata: () => Pick<MetadataStore, "access" | "visibility">,
): void {
  const nginx = repositoryRef("docker.io", "library/nginx");

  test("access is recorded by repository, and what is old is removed unless it is a refusal", async () => {
    const { access } = metadata();
    const [redis, mirror] = [
      repositoryRef("docker.io", "library/redis"),
      repositoryRef("ghcr.io", "library/nginx"),
    ];
    expect(await access.get(nginx)).toBeUndefined();
    await access.put(nginx, { answeredAt: 1, isRefused: false });
    await access.put(nginx, { answeredAt: 2, isRefused: true });
    await access.put(redis, { answeredAt: 2, isRefused: false });
    await access.put(mirror, { answeredAt: 3, isRefused: false });
    expect(await access.removeBefore(3, 9)).toBe(1);
    expect(await access.get(nginx)).toEqual({ answeredAt: 2, isRefused: true });
    expect(await access.get(redis)).toBeUndefined();
    expect(await access.get(mirror)).toEqual({ answeredAt: 3, isRefused: false });
    expect(await access.removeBefore(9, 0)).toBe(0);
  });

  test("what is shown to anybody is recorded by repository, and what is old is removed", async () => {
    const { visibility } = metadata();
    const redis = repositoryRef("docker.io", "library/redis");
    const mirror = repositoryRef("ghcr.io", "library/nginx");
    const names = [nginx.repository, redis.repository];
    expect(await visibility.get(nginx)).toBeUndefined();
    expect(await visibility.publicAmong(nginx.upstream, names, 0)).toEqual([]);
    await visibility.put(nginx, { isPublic: true, askedAt: 1 });
    await visibility.put(redis, { isPublic: true, askedAt: 2 });
    await visibility.put(mirror, { isPublic: false, askedAt: 3 });
    await visibility.put(nginx, { isPublic: false, askedAt: 3 });
    expect(await visibility.get(nginx)).toEqual({ isPublic: false, askedAt: 3 });
    expect(await visibility.publicAmong(nginx.upstream, names, 2)).toEqual([redis.repository]);
    expect(await visibility.publicAmong(nginx.upstream, names, 3)).toEqual([]);
    expect(await visibility.publicAmong(nginx.upstream, [], 0)).toEqual([]);
    expect(await visibility.removeBefore(3, 9)).toBe(1);
    expect(await visibility.get(redis)).toBeUndefined();
    expect(await visibility.get(mirror)).toEqual({ isPublic: false, askedAt: 3 });
    expect(await visibility.removeBefore(9, 0)).toBe(0);
  });
}
