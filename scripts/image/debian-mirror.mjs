// Downloads Debian's packages by HTTP, where there is no apt-get.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const ADVICE =
  "set ENTREPOT_DEBIAN_MIRROR to a mirror of Debian that this machine reaches, or pass --base ROOTFS.tar";

/**
 * Downloads packages into a folder. The suite's release file vouches for all else; it is trusted because of the
 * mirror's certificate, or because of Debian's signature where gpgv and Debian's keys are installed.
 *
 * @throws Error if the mirror cannot be reached, cannot be trusted, or has other content than it says
 */
export async function downloadFromMirror(packages, { suite, architecture, folder, mirror }) {
  if (mirror === undefined) {
    throw new Error(`Debian's packages are needed, and there is no apt-get of Debian: ${ADVICE}`);
  }
  const base = parseMirror(mirror);
  const release = `${base}/dists/${suite}/InRelease`;
  const text = verified(await get(release), base, folder);
  const index = `main/binary-${architecture}/Packages.gz`;
  const sum = new RegExp(`^ ([0-9a-f]{64}) +\\d+ ${index}$`, "m").exec(text)?.[1];
  if (sum === undefined) throw new Error(`${release} has no ${index}: ${ADVICE}`);
  const list = await checked(`${base}/dists/${suite}/${index}`, sum);
  const stanzas = gunzipSync(list).toString("utf8").split("\n\n");
  for (const name of packages) {
    const stanza = stanzas.find((one) => one.startsWith(`Package: ${name}\n`));
    const field = (key) => new RegExp(`^${key}: (.*)$`, "m").exec(stanza ?? "")?.[1];
    const [file, digest] = [field("Filename"), field("SHA256")];
    if (!file || !digest) throw new Error(`${base} has no package ${name} in ${suite}`);
    fs.writeFileSync(
      path.join(folder, path.basename(file)),
      await checked(`${base}/${file}`, digest),
    );
  }
}

function parseMirror(text) {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new Error(
      `ENTREPOT_DEBIAN_MIRROR is ${JSON.stringify(text)}: it must be a URL such as https://mirror.example/debian`,
    );
  }
  return text.replace(/\/+$/, "");
}

function verified(bytes, mirror, folder) {
  const gpgv = spawnSync("gpgv", ["--version"], { stdio: "ignore" });
  if (gpgv.status === 0 && fs.existsSync(KEYRING)) {
    const file = path.join(folder, "InRelease");
    const output = path.join(folder, "Release");
    fs.writeFileSync(file, bytes);
    const args = ["--keyring", KEYRING, "--output", output, file];
    const { status, stderr } = spawnSync("gpgv", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`Debian's keys did not sign what ${mirror} has: ${stderr}`);
    return fs.readFileSync(output, "utf8");
  }
  if (mirror.startsWith("https:")) return bytes.toString("utf8");
  throw new Error(
    `${mirror} cannot be trusted: it has no TLS, and to check Debian's signature, gpgv and ${KEYRING} are needed. Use a mirror with https, or pass --base ROOTFS.tar`,
  );
}

async function checked(url, sum) {
  const bytes = await get(url);
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== sum) throw new Error(`${url} has the SHA-256 ${found}, but should have ${sum}`);
  return bytes;
}

async function get(url) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(120_000) });
  } catch (error) {
    throw new Error(
      `Debian's packages are needed, and ${url} cannot be fetched (${error.message}): ${ADVICE}`,
      {
        cause: error,
      },
    );
  }
  if (!response.ok) throw new Error(`${url} responds with ${response.status}: ${ADVICE}`);
  return Buffer.from(await response.arrayBuffer());
}
