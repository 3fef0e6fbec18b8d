import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Authority } from "../harness/authority.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { tempDir } from "../harness/places.ts";
import { mustRun, startProcess } from "../harness/processes.ts";
import { real, realTest } from "../harness/real.ts";
import { cachedImage } from "./cached-image.ts";
import { until } from "../harness/waiting.ts";
import { PROGRAM, entrepotNode, placesOf } from "./program.ts";
import { LINES, isLong, startNode } from "./supervised.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

test.skipIf(!real.available)(
  "a file that is no authority is refused, with what it is, and nothing is written",
  async () => {
    await using dir = await tempDir("authority");
    const { certificateFile, certificate, key, keyFile } = await makeCertificate(dir);
    const root = dir.file("root");
    mkdirSync(root);
    const broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    const old = dir.file("old.pem");
    const again = ["-in", certificateFile, "-signkey", keyFile, "-days", "-1", "-out", old];
    await mustRun(["openssl", "x509", ...again]);
    const file = (name: string, text: string): string => {
      writeFileSync(dir.file(name), text);
      return dir.file(name);
    };
    const plan = (cache: string, ca: string) => {
      const wish = ["--cache", cache, "--ca", ca, "--upstream", "ghcr.io"];
      return entrepotNode(["apply", ...wish, "--root", root, "--containerd-version", "1.7.24"]);
    };
    const https = "https://cache:5000";
    for (const [cache, ca, says] of [
      [https, dir.file("none.pem"), "cannot be read: ENOENT"],
      [https, dir.path, "cannot be read: EISDIR"],
      [https, file("page.html", "<html></html>"), "holds no certificate in PEM"],
      [https, file("both.pem", certificate + key), "holds a private key"],
      [https, file("broken.pem", broken), "cannot be read"],
      [https, old, "CN=localhost was valid until"],
      ["http://cache:5000", certificateFile, "--ca goes with an https:// cache"],
    ] as const) {
      const { code, text } = await plan(cache, ca);
      expect({ code, text }).toEqual({ code: 2, text: expect.stringContaining(says) });
      expect(tree(root)).toEqual({});
    }
    expect(await plan(https, certificateFile)).toMatchObject({ code: 0 });
    expect(tree(root)["etc/containerd/entrepot-ca.pem"]).toBe(`644 ${certificate}`);
  },
);

describe.each(isLong ? LINES : (["2.1"] as const))("containerd %s", (line) => {
  realTest("is wired to a cache that speaks TLS under an authority of its owner's", async () => {
    await using dir = await tempDir("authority");
    const authority = new Authority(dir, "ours");
    await authority.make();
    const stranger = new Authority(dir, "strange");
    await stranger.make();
    const { certificateFile, keyFile } = await authority.sign("cache", "IP:127.0.0.1");
    await using cached = await cachedImage({ certificate: certificateFile, key: keyFile });
    const { cache, image } = cached;
    expect(cache.url).toStartWith("https://");
    await using node = await startNode(line);
    const { etc } = node.places;
    const before = tree(etc);
    const wire = (...more: string[]) =>
      entrepotNode([
        "apply",
        "--cache",
        cache.url,
        "--probe",
        image,
        "--yes",
        ...placesOf(node),
        ...more,
      ]);
    for (const ca of [[], ["--ca", stranger.certificateFile]]) {
      const refused = await wire("--wait", "1s", ...ca);
      expect(refused).toMatchObject({ code: 1, text: expect.stringContaining("TLS failed") });
      expect(tree(etc)).toEqual(before);
    }
    const given = dir.file("handed-over.pem");
    copyFileSync(authority.certificateFile, given);
    expect(await wire("--ca", given)).toMatchObject({
      code: 0,
      text: expect.stringContaining("proven"),
    });
    // The file that was handed over is not needed any more.
    rmSync(given);
    const copy = join(etc, "entrepot-ca.pem");
    expect(readFileSync(copy, "utf8")).toBe(await authority.certificate());
    const check = await entrepotNode(["check", ...placesOf(node)]);
    expect(check).toMatchObject({ code: 0 });
    const verified = await entrepotNode(["verify", "--probe", image, ...placesOf(node)]);
    expect(verified).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
    // A watcher has the authority from the journal: TLS alone is no reason to take the cache out.
    const hosts = join(node.places.certs, hostsFolder(image), "hosts.toml");
    const wired = readFileSync(hosts, "utf8");
    {
      const watch = ["watch", "--grace", "1s", "--interval", "200ms", ...placesOf(node)];
      await using watching = await startProcess({
        name: "entrepot node watch",
        command: [PROGRAM, "node", ...watch],
        ready: (started) => started.output().includes("watching"),
      });
      cache.signal("SIGSTOP");
      await until(() => !existsSync(hosts), { what: "the cache to be out", within: 15_000 });
      cache.signal("SIGCONT");
      await until(() => existsSync(hosts), { what: "the cache to be back", within: 15_000 });
      expect(readFileSync(hosts, "utf8")).toBe(wired);
      expect(await watching.stop()).toBe(0);
      expect(watching.output()).not.toContain("TLS");
      expect(watching.output()).toContain("is well again");
    }
    const still = await entrepotNode(["verify", "--probe", image, ...placesOf(node)]);
    expect(still).toMatchObject({ code: 0 });
    const back = await entrepotNode(["rollback", "--yes", ...placesOf(node)]);
    expect(back).toMatchObject({ code: 0 });
    expect(existsSync(copy)).toBe(false);
    expect(tree(etc)).toEqual(before);
  });
});

/** The folder of an image's registry on loopback. */
function hostsFolder(image: string): string {
  return image.replace(/\/.*$/, "").replace(/:(\d+)$/, "_$1_");
}
