// `npm run package`: packages (.deb, .rpm) and archives of the executable, in dist/packages.
// `npm run package -- deb --arch x64` makes only that one.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build, buildShare } from "./build.mjs";
import { root } from "./bun.mjs";
import { ensureInstalled } from "./install.mjs";
import { sourceRevision } from "./revision.mjs";
import { buildArchive } from "./package/archive.mjs";
import { writeChecksums } from "./package/checksums.mjs";
import { buildDebian } from "./package/debian.mjs";
import { buildRpm } from "./package/rpm.mjs";
import { architectures } from "./package/versions.mjs";

const formats = { deb: buildDebian, rpm: buildRpm, archive: buildArchive };

/**
 * Builds packages into a folder, and returns the paths of all that it has written.
 *
 * @param told called with what is done next
 */
export function buildPackages(folder, { kinds, archs, told }) {
  const { epoch } = sourceRevision();
  // The manual pages have the date of the sources.
  process.env.SOURCE_DATE_EPOCH = String(epoch);
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  fs.mkdirSync(folder, { recursive: true });
  const work = fs.mkdtempSync(path.join(folder, ".build-"));
  const files = [];
  try {
    told("manual pages and completions");
    const share = buildShare(work);
    for (const arch of archs) {
      told(`executable for ${arch}`);
      const executable = build(arch, work);
      for (const kind of kinds) {
        told(`${kind} for ${arch}`);
        files.push(formats[kind]({ arch, version, epoch, executable, share }, folder));
      }
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
  return [...files, writeChecksums(folder, files)];
}

function parse(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { arch: { type: "string", multiple: true }, output: { type: "string" } },
  });
  const known = (what, wanted, all) => {
    for (const one of wanted) {
      if (!Object.hasOwn(all, one)) {
        throw new Error(`${one} is no ${what}: use one of ${Object.keys(all).join(", ")}`);
      }
    }
    return wanted.length > 0 ? wanted : Object.keys(all);
  };
  return {
    folder: path.resolve(values.output ?? path.join(root, "dist/packages")),
    kinds: known("kind of package", positionals, formats),
    archs: known("architecture", values.arch ?? [], architectures),
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const { folder, kinds, archs } = parse(process.argv.slice(2));
    ensureInstalled();
    const told = (what) => console.error(`building: ${what}`);
    for (const file of buildPackages(folder, { kinds, archs, told })) {
      const size = fs.statSync(file).size;
      console.log(`${path.relative(process.cwd(), file)}  ${(size / 1e6).toFixed(1)} MB`);
    }
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
