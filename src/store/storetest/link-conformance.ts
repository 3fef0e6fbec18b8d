import { expect, test } from "bun:test";
import type { Link, Links, RepositoryRef } from "../metadata-store.ts";
import { digestNumber, repositoryRef } from "./sample-names.ts";

/**
 * The part of `metadataConformance` about links.
 *
 * @param links those of the store that was opened for the test
 */
export function linkConformance(links: () => Links): void {
  const nginx = repositoryRef("docker.io", "library/nginx");
  const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];

  test("a link makes a digest visible in one repository, until it is removed", async () => {
    await links().add(nginx, [{ digest: one, size: 5_000_000_000 }, { digest: two }]);
    expect(await links().get(nginx, one)).toEqual({ digest: one, size: 5_000_000_000 });
    expect(await links().get(nginx, two)).toEqual({ digest: two });
    expect(await links().get(nginx, three)).toBeUndefined();
    expect(await links().get(repositoryRef("ghcr.io", "library/nginx"), one)).toBeUndefined();
    await links().remove(nginx, one);
    await links().remove(nginx, one);
    expect(await links().get(nginx, one)).toBeUndefined();
    expect(await links().get(nginx, two)).toEqual({ digest: two });
  });

  test("a link keeps its size when it is added again without one", async () => {
    await links().add(nginx, [{ digest: one, size: 5 }, { digest: two }]);
    await links().add(nginx, [{ digest: one }, { digest: two, size: 6 }]);
    expect(await links().get(nginx, one)).toEqual({ digest: one, size: 5 });
    expect(await links().get(nginx, two)).toEqual({ digest: two, size: 6 });
    await links().add(nginx, [{ digest: one, size: 7 }]);
    expect(await links().get(nginx, one)).toEqual({ digest: one, size: 7 });
  });

  test("a link that was confirmed stays so, and confirms those of its upstream alone", async () => {
    const redis = repositoryRef("docker.io", "library/redis");
    const mirror = repositoryRef("ghcr.io", "library/nginx");
    for (const repo of [nginx, redis, mirror]) {
      await links().add(repo, [{ digest: one, size: 5 }]);
      expect(await links().get(repo, one)).toEqual({ digest: one, size: 5 });
    }
    await links().add(nginx, [{ digest: one, confirmed: true }, { digest: one }]);
    await links().add(nginx, [{ digest: one, size: 6 }]);
    const get = (repo: RepositoryRef) => links().get(repo, one);
    expect(await get(nginx)).toEqual({ digest: one, size: 6, confirmed: true });
    const isConfirmedElsewhere = true;
    expect(await get(redis)).toEqual({
      digest: one,
      size: 5,
      confirmed: true,
      isConfirmedElsewhere,
    });
    expect(await get(mirror)).toEqual({ digest: one, size: 5 });
    await links().remove(nginx, one);
    expect(await get(redis)).toEqual({ digest: one, size: 5 });
  });

  test("a confirmed link has the type with which its manifest was given, in each repository its own", async () => {
    const redis = repositoryRef("docker.io", "library/redis");
    const manifestType = "application/vnd.oci.image.manifest.v1+json";
    const otherType = "application/vnd.docker.distribution.manifest.v2+json";
    await links().add(nginx, [{ digest: one, confirmed: true, manifestType }]);
    await links().add(nginx, [{ digest: one, size: 5, confirmed: true }]);
    const link = { digest: one, size: 5, confirmed: true };
    expect(await links().get(nginx, one)).toEqual({ ...link, manifestType });
    await links().add(redis, [{ digest: one, size: 5 }]);
    const elsewhere = { ...link, manifestType, isConfirmedElsewhere: true as const };
    expect(await links().get(redis, one)).toEqual(elsewhere);
    await links().add(redis, [{ digest: one, confirmed: true, manifestType: otherType }]);
    expect(await links().get(redis, one)).toEqual({ ...link, manifestType: otherType });
    expect(await links().get(nginx, one)).toEqual({ ...link, manifestType });
  });

  test("links may name a digest twice, be empty, and be very many", async () => {
    await links().add(nginx, [{ digest: one, size: 5 }, { digest: one }]);
    expect(await links().get(nginx, one)).toEqual({ digest: one, size: 5 });
    await links().add(nginx, []);
    const many: Link[] = Array.from({ length: 10_000 }, (_, at) => ({
      digest: digestNumber(at),
      size: at,
    }));
    await links().add(nginx, many);
    for (const at of [0, 127, 128, 129, 9999]) {
      expect(await links().get(nginx, digestNumber(at))).toEqual({
        digest: digestNumber(at),
        size: at,
      });
    }
  });
}
