// The file tree of the image's base layer.
import fs from "node:fs";
import path from "node:path";
import { unpackPackage } from "./debian-packages.mjs";

/** The customary user ID of images without root (distroless `nonroot`); it owns only the data. */
export const user = 65532;
export const data = "var/lib/entrepot";

/** Puts the tree together from unpacked packages. */
export function createBase(base, packages) {
  for (const one of packages) {
    // Of this one, only what names the system.
    const folder = one.name === "base-files" ? `${base}.files` : base;
    unpackPackage(one, folder);
    write(base, `var/lib/dpkg/status.d/${one.name}`, one.control);
  }
  const files = `${base}.files`;
  for (const name of ["usr/lib/os-release", "usr/share/doc/base-files/copyright"]) {
    write(base, name, fs.readFileSync(path.join(files, name)));
  }
  fs.rmSync(files, { recursive: true });
  fs.mkdirSync(path.join(base, "etc"), { recursive: true });
  fs.symlinkSync("../usr/lib/os-release", path.join(base, "etc/os-release"));
  removeUnneeded(base);
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
  const passwd = `root:x:0:0::/:/nologin\nentrepot:x:${user}:${user}::/${data}:/nologin\n`;
  write(base, "etc/passwd", passwd);
  write(base, "etc/group", `root:x:0:\nentrepot:x:${user}:\n`);
  write(base, "etc/nsswitch.conf", "hosts: files dns\n");
  fs.mkdirSync(path.join(base, "tmp"));
}

/** Removes what the image does not need; the licences stay. */
function removeUnneeded(base) {
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
}

/** In the order of their bytes, whatever the locale is. */
function list(folder) {
  if (!fs.existsSync(folder)) return [];
  const names = fs.readdirSync(folder);
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function write(folder, name, content) {
  const file = path.join(folder, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
}
