// A tar archive in the format ustar whose bytes depend on nothing but names, contents and what is given here: not on
// the umask, the user, the clock, the order of a folder or the version of a tar program.
import fs from "node:fs";
import path from "node:path";

const BLOCK = 512;

/**
 * An archive of a folder's content.
 *
 * @param mtime of every entry, in seconds since 1970
 * @param special what deviates from files of root with mode 644 or 755: by path, without a slash at the end
 * @throws Error if a path is too long for the format
 */
export function tarOf(folder, mtime, special = {}) {
  const parts = [];
  for (const name of namesBelow(folder)) {
    const file = path.join(folder, name);
    const stat = fs.lstatSync(file);
    const given = { mtime, ...special[name] };
    if (stat.isSymbolicLink()) {
      parts.push(header(name, { ...given, type: "2", mode: 0o777, link: fs.readlinkSync(file) }));
    } else if (stat.isDirectory()) {
      parts.push(header(`${name}/`, { mode: 0o755, ...given, type: "5" }));
    } else {
      const content = fs.readFileSync(file);
      const mode = stat.mode & 0o111 ? 0o755 : 0o644;
      parts.push(header(name, { mode, ...given, type: "0", size: content.length }), content);
      parts.push(Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
    }
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

/** Each folder before what is in it, and siblings in the order of their bytes. */
function* namesBelow(folder, prefix = "") {
  const entries = fs.readdirSync(path.join(folder, prefix));
  entries.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const entry of entries) {
    const name = prefix === "" ? entry : `${prefix}/${entry}`;
    yield name;
    if (fs.lstatSync(path.join(folder, name)).isDirectory()) yield* namesBelow(folder, name);
  }
}

function header(name, { type, mode, mtime, size = 0, uid = 0, gid = 0, link = "" }) {
  const block = Buffer.alloc(BLOCK);
  const [prefix, base] = split(name);
  if (Buffer.byteLength(link) > 100) throw new Error(`the target of ${name} is too long: ${link}`);
  const octal = (value, length) => `${value.toString(8).padStart(length - 1, "0")}\0`;
  block.write(base, 0);
  block.write(octal(mode, 8), 100);
  block.write(octal(uid, 8), 108);
  block.write(octal(gid, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(mtime, 12), 136);
  block.write(" ".repeat(8), 148);
  block.write(type, 156);
  block.write(link, 157);
  block.write("ustar", 257);
  block.write("00", 263);
  block.write(octal(0, 8), 329);
  block.write(octal(0, 8), 337);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** A path of more than 100 bytes is divided at a slash. */
function split(name) {
  if (Buffer.byteLength(name) <= 100) return ["", name];
  for (let at = name.indexOf("/"); at > 0; at = name.indexOf("/", at + 1)) {
    const [prefix, base] = [name.slice(0, at), name.slice(at + 1)];
    if (base !== "" && Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(base) <= 100) {
      return [prefix, base];
    }
  }
  throw new Error(`the path is too long for a tar archive: ${name}`);
}
