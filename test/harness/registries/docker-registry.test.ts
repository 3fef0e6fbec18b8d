import { expect } from "bun:test";
import { startDockerRegistry } from "./docker-registry.ts";
import {
  artifact,
  bigImage,
  busyboxImage,
  layersOf,
  multiPlatformImage,
} from "../images/images.ts";
import { tempDir } from "../temp-dir.ts";
import { mustRun } from "../processes.ts";
import { push } from "./push.ts";
import { realTest } from "../real-components.ts";
import { startTokenIssuer } from "./token-issuer.ts";
import { failureOf, until } from "../waiting.ts";

realTest("skopeo copies an image from docker-registry and requests each blob once", async () => {
  await using registry = await startDockerRegistry();
  await using dir = await tempDir();
  const image = await multiPlatformImage({ text: "from the registry" });
  await push(image, { url: registry.url, repository: "library/busybox", tag: "1" });
  await registry.forget();

  const from = `docker://${registry.address}/library/busybox:1`;
  await mustRun(["skopeo", "copy", "--all", "--src-tls-verify=false", from, `dir:${dir.path}`]);

  const gets = await registry.requests({ method: "GET", path: /\/blobs\// });
  expect(gets.length).toBe(image.children.flatMap((child) => child.blobs).length);
  expect(gets.every((get) => get.status === 200)).toBe(true);
  const manifest = await Bun.file(dir.file("manifest.json")).bytes();
  expect(manifest).toEqual(image.manifest.bytes);
});

realTest("docker-registry accepts a Docker image and an OCI artifact", async () => {
  await using registry = await startDockerRegistry();
  const image = await busyboxImage({ flavour: "docker" });
  await push(image, { url: registry.url, repository: "a/b", tag: "v1" });
  await push(artifact(image), { url: registry.url, repository: "a/b", tag: "signature" });
  const inspected = await mustRun([
    ..."skopeo inspect --raw --tls-verify=false".split(" "),
    `docker://${registry.address}/a/b:v1`,
  ]);
  expect(inspected).toBe(new TextDecoder().decode(image.manifest.bytes));
});

realTest("a large layer is pushed as a stream and arrives unchanged", async () => {
  await using registry = await startDockerRegistry();
  const image = await bigImage({ size: 24 * 1024 * 1024 });
  await push(image, { url: registry.url, repository: "big", tag: "1" });
  const [, random] = layersOf(image);
  const response = await fetch(`${registry.url}/v2/big/blobs/${random?.digest}`);
  const hash = new Bun.CryptoHasher("sha256").update(await response.arrayBuffer()).digest("hex");
  expect(`sha256:${hash}`).toBe(String(random?.digest));
});

realTest("docker-registry keeps its port and content over a restart", async () => {
  await using registry = await startDockerRegistry();
  await push(await busyboxImage(), { url: registry.url, repository: "x", tag: "1" });
  const { url } = registry;
  await registry.stop();
  await failureOf(fetch(`${url}/v2/`));
  await registry.start();
  expect(registry.url).toBe(url);
  expect((await fetch(`${url}/v2/x/tags/list`)).status).toBe(200);
});

realTest(
  "docker-registry accepts the token issuer's tokens and rejects wrong credentials",
  async () => {
    await using issuer = await startTokenIssuer({ users: { me: "secret" } });
    await using registry = await startDockerRegistry({ auth: issuer.auth });
    const repository = "library/private";
    const authorization = issuer.authorization(repository);
    const image = await busyboxImage();
    expect(await failureOf(push(image, { url: registry.url, repository }))).toContain("401");
    await push(image, { url: registry.url, repository, tag: "1", authorization });

    const inspect = ["skopeo", "inspect", "--raw", "--tls-verify=false"];
    const name = `docker://${registry.address}/${repository}:1`;
    await mustRun([...inspect, "--no-creds", name]);
    await mustRun([...inspect, "--creds", "me:secret", name]);
    await failureOf(mustRun([...inspect, "--creds", "me:wrong", name]));

    const [anonymous, known] = issuer.requests;
    expect(anonymous).toMatchObject({
      service: "registry.test",
      scopes: [`repository:${repository}:pull`],
      authorization: undefined,
      status: 200,
    });
    expect(known?.authorization).toBe(`Basic ${btoa("me:secret")}`);
  },
);

realTest("docker-registry rejects a token that has expired", async () => {
  await using issuer = await startTokenIssuer({ ttl: 1 });
  await using registry = await startDockerRegistry({ auth: issuer.auth });
  const headers = { authorization: issuer.authorization("x") };
  const status = async () => (await fetch(`${registry.url}/v2/x/tags/list`, { headers })).status;
  expect(await status()).toBe(404);
  await until(async () => (await status()) === 401, { what: "the token to be rejected" });
});
