import { expect } from "bun:test";
import type { ContainerdLine } from "../scripts/components/debian.mjs";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import {
  allBlobs,
  busyboxImage,
  manyLayersImage,
  multiPlatformImage,
  pauseImage,
} from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { mustRun } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { verifyStore } from "./harness/cache/store-files.ts";
import { startTokenIssuer } from "./harness/registries/token-issuer.ts";

for (const line of ["1.6", "1.7", "2.1"] satisfies ContainerdLine[]) {
  realTest(
    `containerd ${line} pulls an image for its platform through the cache and runs it`,
    async () => {
      await using registry = await startDockerRegistry();
      const image = await multiPlatformImage({ text: "through the cache" });
      await push(image, { url: registry.url, repository: "org/hello", tag: "1" });
      await registry.forget();
      await using cache = await startEntrepot({
        config: { upstreams: { "reg.test": localUpstream(registry.url) } },
      });
      // The upstream's name does not resolve: every byte has to come through the cache.
      await using containerd = await startContainerd({
        line,
        hosts: { "reg.test": hostsToml({ server: "https://reg.test", hosts: [cache.url] }) },
      });

      await containerd.cri.pullImage("reg.test/org/hello:1");

      expect(await containerd.cri.runToEnd("reg.test/org/hello:1")).toEqual({
        exitCode: 0,
        output: "through the cache\n",
      });
      const [mine, other] = image.children;
      const gets = await registry.requests({ method: "GET" });
      const references = gets.map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
      expect(references.toSorted()).toEqual(
        [
          image.manifest.digest,
          mine?.manifest.digest ?? "",
          ...(mine?.blobs.map(({ digest }) => digest) ?? []),
        ].toSorted(),
      );
      expect(references).not.toContain(other?.manifest.digest ?? "");
      const served = await (await cache.get("/entrepot/v1/served")).json();
      expect(served).toMatchObject({
        served: expect.arrayContaining([
          expect.objectContaining({ namespace: "reg.test", repository: "org/hello", kind: "blob" }),
        ]),
      });
    },
  );
}

realTest("a cached image is pulled while its upstream is down", async () => {
  await using registry = await startDockerRegistry();
  await push(await manyLayersImage({ text: "forty" }), {
    url: registry.url,
    repository: "many",
    tag: "1",
  });
  const upstream = { ...localUpstream(registry.url), tagTtl: "0s" };
  const config = { upstreams: { "reg.test": upstream } };
  await using data = await tempDir("data");
  const hosts = (url: string) => ({
    "reg.test": hostsToml({ server: "https://reg.test", hosts: [url] }),
  });
  {
    await using cache = await startEntrepot({ config, data: data.file("d") });
    await using containerd = await startContainerd({ hosts: hosts(cache.url) });
    await containerd.cri.pullImage("reg.test/many:1");
    expect(await cache.stop()).toBe(0);
  }
  await registry.stop();
  await using cache = await startEntrepot({ config, data: data.file("d") });
  await using containerd = await startContainerd({ hosts: hosts(cache.url) });
  await containerd.cri.pullImage("reg.test/many:1");
  expect((await containerd.cri.runToEnd("reg.test/many:1")).output).toBe("forty\n");
  const stale = await cache.get("/v2/many/manifests/1?ns=reg.test");
  expect(stale.headers.get("cache-status")).toContain("detail=stale");
  expect(stale.headers.get("warning")).toContain("stale");
  await verifyStore(cache.data);
});

realTest("images behind a token server are pulled anonymously and with credentials", async () => {
  await using issuer = await startTokenIssuer({
    users: { me: "secret" },
    grants: (user, repository) => (user || repository.startsWith("public/") ? ["pull"] : []),
  });
  await using registry = await startDockerRegistry({ auth: issuer.auth });
  const image = await busyboxImage({ text: "private" });
  for (const repository of ["public/app", "private/app"]) {
    const authorization = issuer.authorization(repository);
    await push(image, { url: registry.url, repository, tag: "1", authorization });
  }
  await registry.forget();
  const anonymous = localUpstream(registry.url);
  await using cache = await startEntrepot({
    config: {
      upstreams: {
        "anon.test": anonymous,
        "auth.test": {
          ...anonymous,
          auth: { username: "me", password: "secret" },
          trustedRealms: [new URL(issuer.realm).host],
        },
      },
    },
  });
  await using containerd = await startContainerd({
    hosts: Object.fromEntries(
      ["anon.test", "auth.test"].map((name) => [
        name,
        hostsToml({ server: `https://${name}`, hosts: [cache.url] }),
      ]),
    ),
  });

  await containerd.cri.pullImage("anon.test/public/app:1");
  expect(issuer.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  expect(issuer.requests[0]?.scopes).toEqual(["repository:public/app:pull"]);
  const refused = await cache.get("/v2/private/app/manifests/1?ns=anon.test");
  expect(refused.status).toBe(403);
  expect(await refused.json()).toMatchObject({ errors: [{ code: "DENIED" }] });

  issuer.forget();
  await containerd.cri.pullImage("auth.test/private/app:1");
  // First without credentials, since an endpoint on http may redirect to https.
  expect(issuer.requests.map(({ authorization }) => authorization)).toEqual([
    undefined,
    `Basic ${btoa("me:secret")}`,
  ]);
  // The bytes are stored, but this upstream has not granted access to them.
  const [layer] = image.blobs;
  const unauthorized = await cache.get(`/v2/private/app/blobs/${layer?.digest}?ns=anon.test`);
  expect(unauthorized.status).toBe(403);
  const output = JSON.stringify(cache.logs());
  expect(output).not.toContain("secret");
  expect(output).not.toContain(btoa("me:secret"));
});

realTest("images with the same name on two upstreams are kept apart", async () => {
  await using first = await startDockerRegistry();
  await using second = await startDockerRegistry();
  for (const [registry, text] of [
    [first, "first"],
    [second, "second"],
  ] as const) {
    const image = await busyboxImage({ text });
    await push(image, { url: registry.url, repository: "library/app", tag: "1" });
  }
  await using cache = await startEntrepot({
    config: {
      upstreams: {
        "docker.io": localUpstream(first.url),
        "second.test": localUpstream(second.url),
      },
    },
  });
  const hosts = (server: string) => hostsToml({ server, hosts: [cache.url] });
  await using containerd = await startContainerd({
    hosts: {
      "docker.io": hosts("https://registry-1.docker.io"),
      "second.test": hosts("https://second.test"),
    },
  });
  await Promise.all([
    containerd.cri.pullImage("docker.io/library/app:1"),
    containerd.cri.pullImage("second.test/library/app:1"),
  ]);
  expect((await containerd.cri.runToEnd("docker.io/library/app:1")).output).toBe("first\n");
  expect((await containerd.cri.runToEnd("second.test/library/app:1")).output).toBe("second\n");
  const digestAt = async (path: string) =>
    (await cache.get(path)).headers.get("docker-content-digest");
  const [one, two] = await Promise.all([
    digestAt("/v2/library/app/manifests/1?ns=docker.io"),
    digestAt("/v2/library/app/manifests/1?ns=second.test"),
  ]);
  expect(one).not.toBe(two);
  for (const path of ["/v2/app/manifests/1", "/v2/app/manifests/1?ns=registry-1.docker.io"]) {
    expect(await digestAt(path)).toBe(one);
  }
  expect(await digestAt("/v2/second.test/library/app/manifests/1")).toBe(two);
});

realTest("skopeo copies an image by path prefix", async () => {
  await using registry = await startDockerRegistry();
  const image = await multiPlatformImage({ text: "copied", flavour: "docker" });
  await push(image, { url: registry.url, repository: "org/app", tag: "1" });
  await push(await pauseImage(), { url: registry.url, repository: "org/pause", tag: "1" });
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(registry.url) } },
  });
  await using target = await tempDir("copied");
  const source = `docker://${cache.address}/reg.test/org/app`;
  const copy = ["skopeo", "copy", "--all", "--src-tls-verify=false"];
  await mustRun([...copy, `${source}:1`, `dir:${target.file("app")}`]);
  const digests = await verifyStore(cache.data);
  const expected = [image.manifest, ...image.children.map((child) => child.manifest)];
  for (const { digest } of [...expected, ...allBlobs(image)]) expect(digests).toContain(digest);
  const tags = await mustRun(["skopeo", "list-tags", "--tls-verify=false", source]);
  expect(JSON.parse(tags)).toMatchObject({ Tags: ["1"] });
});
