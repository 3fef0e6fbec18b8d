import { expect } from "bun:test";
import type { ContainerdLine } from "../../../scripts/components/debian.mjs";
import { hostsToml, startContainerd } from "./containerd.ts";
import { startDockerRegistry } from "../registries/docker-registry.ts";
import { busyboxImage, manyLayersImage, pauseImage } from "../images/images.ts";
import { push } from "../registries/push.ts";
import { realTest } from "../real-components.ts";
import { startTokenIssuer } from "../registries/token-issuer.ts";
import { failureOf } from "../waiting.ts";

for (const line of ["1.6", "1.7", "2.1"] satisfies ContainerdLine[]) {
  realTest(`containerd ${line} pulls an image through hosts.toml and runs it`, async () => {
    await using registry = await startDockerRegistry();
    const image = await busyboxImage({ text: `hello from ${line}` });
    await push(image, { url: registry.url, repository: "library/hello", tag: "1" });
    await registry.forget();
    const hosts = hostsToml({ server: registry.url, hosts: [] });
    await using containerd = await startContainerd({
      line,
      // Before 1.7.32, a hosts.toml without a [host] table is an error.
      hosts: { "reg.test": `${hosts}\n[host."${registry.url}"]\n` },
    });

    await containerd.cri.pullImage("reg.test/library/hello:1");

    expect(await containerd.cri.runToEnd("reg.test/library/hello:1")).toEqual({
      exitCode: 0,
      output: `hello from ${line}\n`,
    });
    const gets = await registry.requests({ method: "GET", path: /\/blobs\// });
    expect(gets.length).toBe(image.blobs.length);
    expect(gets[0]?.query.get("ns")).toBe("reg.test");
    expect(await containerd.cri.listImages()).toContainEqual(
      expect.objectContaining({ repo_tags: ["reg.test/library/hello:1"] }),
    );
  });
}

realTest(
  "containerd pulls the sandbox image from a registry, and keeps its images over a restart",
  async () => {
    await using registry = await startDockerRegistry();
    await push(await pauseImage(), { url: registry.url, repository: "pause", tag: "1" });
    const image = await manyLayersImage({ text: "forty layers" });
    await push(image, { url: registry.url, repository: "many", tag: "1" });
    await using containerd = await startContainerd({ sandboxImage: "reg.test/pause:1" });
    await containerd.writeHosts(
      "reg.test",
      hostsToml({ server: registry.url, hosts: [registry.url] }),
    );
    await containerd.cri.pullImage("reg.test/many:1");
    await containerd.stop();
    await containerd.start();
    const result = await containerd.cri.runToEnd("reg.test/many:1", {
      command: ["/bin/busybox", "sh", "-c", "cat /text; exit 3"],
    });
    expect(result).toEqual({ exitCode: 3, output: "forty layers\n" });
    expect(await failureOf(containerd.cri.pullImage("reg.test/none:1"))).toContain("not found");
  },
);

realTest("containerd sends a pull secret to the token server that the registry names", async () => {
  await using issuer = await startTokenIssuer({ anonymous: false, users: { me: "secret" } });
  await using registry = await startDockerRegistry({ auth: issuer.auth });
  const authorization = issuer.authorization("private");
  const image = await busyboxImage({ text: "not for everyone" });
  await push(image, { url: registry.url, repository: "private", tag: "1", authorization });
  const hosts = hostsToml({ server: registry.url, hosts: [registry.url] });
  await using containerd = await startContainerd({ hosts: { "reg.test": hosts } });

  expect(await failureOf(containerd.cri.pullImage("reg.test/private:1"))).toContain(
    "authorization failed",
  );
  const auth = { username: "me", password: "secret" };
  await containerd.cri.pullImage("reg.test/private:1", { auth });
  const { output } = await containerd.cri.runToEnd("reg.test/private:1");
  expect(output).toBe("not for everyone\n");
  expect(issuer.requests.at(-1)?.authorization).toBe(`Basic ${btoa("me:secret")}`);
});
