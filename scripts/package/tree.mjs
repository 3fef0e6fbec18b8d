// The files of a package, as they lie on a machine.
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";
import { root } from "../bun.mjs";

/** Where completions of zsh lie that a package brings. */
const zshFolders = { debian: "vendor-completions", rpm: "site-functions" };

/** Writes what the packages of Debian and of rpm share. */
export function writeTree(tree, { executable, share, style }) {
  const put = (name, content, mode = 0o644) => writeFile(path.join(tree, name), content, mode);
  const from = (name) => fs.readFileSync(path.join(root, name));
  fs.mkdirSync(path.join(tree, "usr/bin"), { recursive: true });
  fs.copyFileSync(executable, path.join(tree, "usr/bin/entrepot"));
  fs.chmodSync(path.join(tree, "usr/bin/entrepot"), 0o755);
  put("etc/entrepot/entrepot.yaml", from("deploy/packages/entrepot.yaml"));
  for (const unit of ["entrepot.service", "entrepot-node-watch.service"]) {
    put(`usr/lib/systemd/system/${unit}`, packagedUnit(unit));
  }
  put("usr/lib/sysusers.d/entrepot.conf", from("deploy/systemd/entrepot.sysusers.conf"));
  put("usr/lib/tmpfiles.d/entrepot.conf", from("deploy/packages/tmpfiles.conf"));
  for (const section of fs.readdirSync(path.join(share, "man"))) {
    for (const page of fs.readdirSync(path.join(share, "man", section))) {
      const text = fs.readFileSync(path.join(share, "man", section, page));
      put(`usr/share/man/${section}/${page}.gz`, gzip(text));
    }
  }
  for (const name of [
    "bash-completion/completions/entrepot",
    "fish/vendor_completions.d/entrepot.fish",
  ]) {
    put(`usr/share/${name}`, fs.readFileSync(path.join(share, name)));
  }
  const zsh = fs.readFileSync(path.join(share, "zsh/site-functions/_entrepot"));
  put(`usr/share/zsh/${zshFolders[style]}/_entrepot`, zsh);
  const examples = "usr/share/doc/entrepot/examples/systemd";
  put(`${examples}/entrepot.socket`, from("deploy/systemd/entrepot.socket"));
  put(
    `${examples}/entrepot.service.d/socket.conf`,
    from("deploy/systemd/entrepot.service.d/socket.conf"),
  );
  return { put, from };
}

/** A unit of deploy/systemd for the program of a package. */
export function packagedUnit(name) {
  const text = fs.readFileSync(path.join(root, "deploy/systemd", name), "utf8");
  return text.replaceAll("/usr/local/bin/", "/usr/bin/");
}

/** Without a name or a time: the same bytes each time. */
export function gzip(content) {
  return zlib.gzipSync(content, { level: 9 });
}

export function writeFile(file, content, mode = 0o644) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
  fs.chmodSync(file, mode);
}

/** Gives all below a folder one time, and folders the rights that they have whatever the umask is. */
export function settle(folder, epoch) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const at = path.join(folder, entry.name);
    if (entry.isDirectory()) settle(at, epoch);
    else fs.utimesSync(at, epoch, epoch);
  }
  fs.chmodSync(folder, 0o755);
  fs.utimesSync(folder, epoch, epoch);
}
