import { expect } from "bun:test";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { ContainerdLine } from "../scripts/components/debian.mjs";
import { makeCertificateAuthority } from "./harness/services/certificate-authority.ts";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { bigImage, layersOf, multiPlatformImage, textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { mustRun, run } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

const MIB = 1024 * 1024;

/** A server certificate for this machine, its CA certificate and the `tls` settings. */
async function setUp() {
  const dir = await tempDir("tls");
  const certificateAuthority = await makeCertificateAuthority(dir);
  const { certificateFile, keyFile } = await certificateAuthority.sign("cache", "IP:127.0.0.1");
  return {
    dir,
    ca: certificateAuthority.certificateFile,
    tls: { certificate: certificateFile, key: keyFile },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

const hostsTomlWithCa = (server: string, url: string, ca: string): string =>
  `server = "${server}"\n\n[host."${url}"]\n  capabilities = ["pull", "resolve"]\n  ca = "${ca}"\n`;

const isContainerd = (headers: Headers): boolean =>
  headers.get("user-agent")?.startsWith("containerd/") ?? false;

for (const line of ["1.6", "2.1"] satisfies ContainerdLine[]) {
  realTest(`containerd ${line} pulls over TLS, and resumes a cut-off body upstream`, async () => {
    await using at = await setUp();
    await using upstream = await startScriptedUpstream();
    const image = await bigImage({ size: 24 * MIB });
    upstream.add("org/big", image, "1");
    const [layer] = layersOf(image).toSorted((a, b) => b.size - a.size);
    // The cache gets only half of the layer, so it has to cut off the response.
    let isFirst = true;
    upstream.respond(({ reference, headers }) => {
      if (reference !== layer?.digest || isContainerd(headers)) return undefined;
      const fault = isFirst ? faults.cutAfter(12 * MIB) : faults.errorResponse(404);
      isFirst = false;
      return fault;
    });
    const config = { tls: at.tls, upstreams: { "reg.test": localUpstream(upstream.url) } };
    await using cache = await startEntrepot({ config });
    await using containerd = await startContainerd({
      line,
      hosts: { "reg.test": hostsTomlWithCa(upstream.url, cache.url, at.ca) },
    });
    await containerd.cri.pullImage("reg.test/org/big:1");
    // Everything except the rest of that layer came through the cache.
    const direct = upstream.requests().filter(({ headers }) => isContainerd(headers));
    expect(direct.map(({ reference }) => reference)).toEqual([layer?.digest ?? ""]);
    expect(direct[0]?.headers.get("range")).toMatch(/^bytes=[1-9]\d{6,}-/);

    // A node that is configured with http:// falls back to the registry.
    upstream.add("org/plain", textImage({ text: "plain" }), "1");
    const plain = { server: upstream.url, hosts: [`http://${cache.address}`] };
    await containerd.writeHosts("reg.test", hostsToml(plain));
    await containerd.cri.pullImage("reg.test/org/plain:1");
  });
}

realTest("skopeo and curl pull over TLS with the CA certificate, and fail without it", async () => {
  await using at = await setUp();
  await using registry = await startDockerRegistry();
  const image = await multiPlatformImage({ text: "copied" });
  await push(image, { url: registry.url, repository: "org/app", tag: "1" });
  const config = { tls: at.tls, upstreams: { "reg.test": localUpstream(registry.url) } };
  await using cache = await startEntrepot({ config });
  const certs = at.dir.file("certs");
  await mkdir(certs);
  await Bun.write(path.join(certs, "ca.crt"), Bun.file(at.ca));
  const source = `docker://${cache.address}/reg.test/org/app:1`;
  const copy = (...args: string[]) => ["skopeo", "copy", "--all", ...args, source];
  await mustRun([...copy("--src-cert-dir", certs), `dir:${at.dir.file("app")}`]);
  expect(await Bun.file(at.dir.file("app", "manifest.json")).bytes()).toEqual(image.manifest.bytes);
  const refused = await run([...copy(), `dir:${at.dir.file("other")}`]);
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining("certificate signed by unknown authority"),
  ]);
  const url = `${cache.url}/v2/org/app/manifests/1?ns=reg.test`;
  const accept = "Accept: application/vnd.oci.image.index.v1+json";
  const got = await mustRun(["curl", "-sS", "--cacert", at.ca, "-H", accept, url]);
  expect(got).toBe(Buffer.from(image.manifest.bytes).toString());
});
