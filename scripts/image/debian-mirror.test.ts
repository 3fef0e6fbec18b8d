import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { downloadFromMirror } from "./debian-mirror.mjs";

const folder = mkdtempSync(join(tmpdir(), "entrepot-mirror-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What is said where packages cannot be downloaded; empty if they can. */
async function failureAt(mirror?: string): Promise<string> {
  try {
    const request = { suite: "trixie", architecture: "amd64", folder, mirror };
    await downloadFromMirror(["libc6"], request);
    return "";
  } catch (error) {
    return String(error);
  }
}

test("a mirror that is not given, is no URL, or does not respond, is refused with what to set", async () => {
  expect(await failureAt()).toContain("there is no apt-get of Debian: set ENTREPOT_DEBIAN_MIRROR");
  expect(await failureAt("ftp://mirror.test")).toContain(
    'ENTREPOT_DEBIAN_MIRROR is "ftp://mirror.test": it must be a URL such as https://',
  );
  // Nothing listens at this port.
  expect(await failureAt("http://127.0.0.1:1")).toMatch(
    /Debian's packages are needed, and http:\S+InRelease cannot be fetched .*: set ENTREPOT_DEBIAN_MIRROR .*, or pass --base ROOTFS.tar/,
  );
});

test("a mirror without TLS is not believed what Debian did not sign", async () => {
  const sum = "0".repeat(64);
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(`SHA256:\n ${sum} 1 main/binary-amd64/Packages.gz\n`),
  });
  // Without gpgv, for lack of TLS.
  expect(await failureAt(`http://127.0.0.1:${server.port}`)).toMatch(
    /Debian's keys did not sign|cannot be trusted: it has no TLS/,
  );
  expect(readdirSync(folder).filter((name) => name.endsWith(".deb"))).toEqual([]);
});

test("a mirror without the suite is named with its answer", async () => {
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("", { status: 404 }),
  });
  expect(await failureAt(`http://127.0.0.1:${server.port}`)).toMatch(
    /dists\/trixie\/InRelease responds with 404: set ENTREPOT_DEBIAN_MIRROR/,
  );
});
