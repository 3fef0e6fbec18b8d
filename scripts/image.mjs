// `npm run image`: builds an OCI image in dist/ without a Docker daemon. It contains the
// executable, Debian's C library and CA certificates, and nothing else: no shell, no package
// manager.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import zlib from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { ensureUnpacked } from "./debian-unpack.mjs";
import { ensureInstalled } from "./install.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const architectures = { x64: "amd64", arm64: "arm64" };
/** The customary user ID of images without root (distroless `nonroot`); it owns only the data. */
const user = 65532;
const data = "var/lib/entrepot";

/**
 * Builds the image for an architecture (`x64`, `arm64`) into a folder and returns its archive's
 * path.
 */
async function image(arch, folder) {
  const architecture = architectures[arch];
  if (architecture === undefined) {
    throw new Error(
      `${arch} is not supported: use one of ${Object.keys(architectures).join(", ")}`,
    );
  }
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-image-"));
  try {
    const base = path.join(work, "base");
    await createBase(base, architecture);
    const app = path.join(work, "app");
    const program = path.join(app, "usr/local/bin/entrepot");
    fs.mkdirSync(path.dirname(program), { recursive: true });
    fs.copyFileSync(build(arch, work), program);
    fs.chmodSync(program, 0o755);
    fs.mkdirSync(path.join(app, data), { recursive: true });
    fs.chmodSync(path.join(app, data), 0o750);
    const layers = [layer(work, "base"), layer(work, "app", data)];
    const archive = path.join(folder, `entrepot-image-linux-${architecture}.tar`);
    fs.mkdirSync(folder, { recursive: true });
    writeLayout(work, archive, layers, architecture);
    return archive;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** Creates the base layer's file tree from Debian packages. */
async function createBase(base, architecture) {
  for (const name of ["libc6", "ca-certificates"]) {
    const tree = await ensureUnpacked(`${name}-${architecture}`, {
      packages: [name],
      architecture,
    });
    fs.cpSync(tree, base, {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  // Remove what the image does not need; the licences stay.
  const gconv = ["lib", "usr/lib"].flatMap((lib) =>
    list(path.join(base, lib))
      .filter((name) => fs.statSync(path.join(base, lib, name)).isDirectory())
      .map((name) => `${lib}/${name}/gconv`),
  );
  const unneeded = ["sbin", "usr/sbin", "usr/bin", "usr/share/lintian", "usr/share/man"];
  unneeded.push("usr/share/doc/ca-certificates/examples");
  for (const folder of [...unneeded, ...gconv]) {
    fs.rmSync(path.join(base, folder), { recursive: true, force: true });
  }
  // Since Debian 13, libraries are below /usr, and the package base-files has the links to them.
  for (const name of ["lib", "lib64"]) {
    const isMoved = !fs.existsSync(path.join(base, name));
    if (isMoved && fs.existsSync(path.join(base, "usr", name))) {
      fs.symlinkSync(`usr/${name}`, path.join(base, name));
    }
  }
  // The package's install script would build this bundle.
  const certificates = path.join(base, "usr/share/ca-certificates/mozilla");
  const bundle = list(certificates).map((name) => fs.readFileSync(path.join(certificates, name)));
  write(base, "etc/ssl/certs/ca-certificates.crt", Buffer.concat(bundle));
  write(
    base,
    "etc/passwd",
    `root:x:0:0::/:/nologin\nentrepot:x:${user}:${user}::/${data}:/nologin\n`,
  );
  write(base, "etc/group", `root:x:0:\nentrepot:x:${user}:\n`);
  write(base, "etc/nsswitch.conf", "hosts: files dns\n");
  fs.mkdirSync(path.join(base, "tmp"));
  fs.chmodSync(path.join(base, "tmp"), 0o1777);
}

/**
 * A reproducible layer of the files in `work/name`; those below `owned` belong to the image's user.
 */
function layer(work, name, owned) {
  const file = path.join(work, `${name}.layer`);
  const reproducible = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu"];
  const source = ["-C", path.join(work, name)];
  const exclude = owned ? [`--exclude=./${owned}`] : [];
  const rootOwner = ["--owner=0", "--group=0"];
  mustRun("tar", ["-cf", file, ...reproducible, ...rootOwner, ...exclude, ...source, "."]);
  if (owned) {
    const owner = [`--owner=${user}`, `--group=${user}`];
    mustRun("tar", ["-rf", file, ...reproducible, ...owner, ...source, `./${owned}`]);
  }
  const tar = fs.readFileSync(file);
  return { diffId: `sha256:${sha256(tar)}`, bytes: zlib.gzipSync(tar, { level: 6 }) };
}

/** Writes an OCI image layout, plus the manifest.json that older versions of `docker load` need. */
function writeLayout(work, archive, layers, architecture) {
  const layout = path.join(work, "layout");
  const put = (bytes) => {
    const digest = sha256(bytes);
    write(layout, `blobs/sha256/${digest}`, bytes);
    return { digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (value) => Buffer.from(JSON.stringify(value));
  const { version, license } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const config = put(
    json({
      architecture,
      os: "linux",
      config: {
        User: `${user}:${user}`,
        Entrypoint: ["/usr/local/bin/entrepot"],
        Cmd: ["serve"],
        Env: ["PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
        ExposedPorts: { "5000/tcp": {} },
        Volumes: { [`/${data}`]: {} },
        StopSignal: "SIGTERM",
        WorkingDir: "/",
        Labels: {
          "org.opencontainers.image.title": "Entrepot",
          "org.opencontainers.image.version": version,
          "org.opencontainers.image.licenses": license,
        },
      },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  );
  const entries = layers.map(({ bytes }) => put(bytes));
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = put(
    json({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
      layers: entries.map((entry) => ({
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        ...entry,
      })),
    }),
  );
  const name = "docker.io/library/entrepot:latest";
  const annotations = {
    "io.containerd.image.name": name,
    "org.opencontainers.image.ref.name": "latest",
  };
  const index = { schemaVersion: 2, manifests: [{ mediaType, ...manifest, annotations }] };
  write(layout, "index.json", json(index));
  write(layout, "oci-layout", json({ imageLayoutVersion: "1.0.0" }));
  const blobPath = ({ digest }) => `blobs/${digest.replace(":", "/")}`;
  const dockerManifest = [
    { Config: blobPath(config), RepoTags: ["entrepot:latest"], Layers: entries.map(blobPath) },
  ];
  write(layout, "manifest.json", json(dockerManifest));
  const reproducible = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  mustRun("tar", ["-cf", archive, ...reproducible, "-C", layout, "."]);
}

function list(folder) {
  return fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [];
}

function write(folder, name, content) {
  const file = path.join(folder, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function mustRun(command, args) {
  const { status } = spawnSync(command, args, { stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}

try {
  ensureInstalled();
  const args = process.argv.slice(2);
  const at = args.indexOf("--output");
  const folder = at === -1 ? path.join(root, "dist") : path.resolve(args.splice(at, 2)[1] ?? ".");
  const hostArch = process.arch === "arm64" ? "arm64" : "x64";
  for (const arch of args.length > 0 ? args : [hostArch]) {
    const archive = await image(arch, folder);
    console.log(`${archive}  ${Math.round(fs.statSync(archive).size / 1e6)} MB`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
