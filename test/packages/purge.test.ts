import { expect } from "bun:test";
import { join } from "node:path";
import { root } from "../../scripts/fresh-bundle.mjs";
import { mustRun } from "../harness/processes.ts";
import { realTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";

const postrm = join(root, "deploy/packages/debian/postrm");

/** Purges below `$1`, where the commands have put something, and lists the files that are left. */
function purge(...before: string[]): string {
  return `
    cd "$1"
    mkdir -p var/lib/entrepot/blobs var/lib/entrepot/.state var/lib/entrepot/node var/log/entrepot volume
    ${before.join("\n    ")}
    touch var/lib/entrepot/blobs/one var/lib/entrepot/.state/two var/log/entrepot/three
    DPKG_ROOT="$1" sh "${postrm}" purge >&2
    find . -type f | sort
  `;
}

realTest(
  "a purge removes data and logs, but what is on a mounted volume or behind a link",
  async () => {
    const cases: [string, string][] = [
      [purge(), ""],
      [purge("touch var/lib/entrepot/node/journal.json"), "./var/lib/entrepot/node/journal.json\n"],
      [
        purge(
          "mount -t tmpfs volume var/lib/entrepot",
          "mkdir var/lib/entrepot/blobs var/lib/entrepot/.state",
        ),
        "./var/lib/entrepot/.state/two\n./var/lib/entrepot/blobs/one\n",
      ],
      [purge("mount -t tmpfs volume var/lib/entrepot/blobs"), "./var/lib/entrepot/blobs/one\n"],
      // Of the same file system, which rm does not tell apart.
      [
        purge("mount --bind volume var/lib/entrepot/blobs"),
        "./var/lib/entrepot/blobs/one\n./volume/one\n",
      ],
      [
        purge(
          "mkdir var/lib/entrepot/blobs/deep",
          "mount --bind volume var/lib/entrepot/blobs/deep",
          "touch volume/one",
        ),
        "./var/lib/entrepot/blobs/deep/one\n./var/lib/entrepot/blobs/one\n./volume/one\n",
      ],
      [purge("mount --bind volume var/log/entrepot"), "./var/log/entrepot/three\n./volume/three\n"],
      [
        purge("rmdir volume", "mv var/lib/entrepot volume", 'ln -s "$1/volume" var/lib/entrepot'),
        "./volume/.state/two\n./volume/blobs/one\n",
      ],
    ];
    for (const [script, left] of cases) {
      await using dir = await tempDir("purge");
      const isolated = ["unshare", "--mount", "--propagation", "private"];
      expect(await mustRun([...isolated, "sh", "-ec", script, "sh", dir.path])).toBe(left);
    }
  },
);
