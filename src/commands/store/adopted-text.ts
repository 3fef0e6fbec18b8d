import type { AdoptRequest } from "../../cache/adoption/adopted-folders.ts";
import type { Adopted } from "../../cache/adoption/adopted.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { printable } from "../../printable.ts";
import { counted } from "../table.ts";

/**
 * What was adopted, in sentences.
 *
 * @param data the data directory of a cache that does not run: it may be another one than is meant
 */
export function adoptedText(
  adopted: Adopted,
  { upstream: name, link }: AdoptRequest,
  data: string | undefined,
): string {
  const { blobs, bytes, linked, known, repositories, tags, manifests, omitted, corrupt, outside } =
    adopted;
  const { failed, failures } = adopted;
  const how = blobs === 0 ? "" : ` (${linked} linked, ${blobs - linked} copied)`;
  const into = data === undefined ? "" : ` into ${printable(data)}`;
  const before = known > 0 ? `; ${known} ${known === 1 ? "was" : "were"} stored already` : "";
  const cached = `${counted(tags, "tag")} and ${counted(manifests, "manifest")} of ${counted(repositories, "repository", "repositories")}`;
  const lines = [
    `Adopted ${counted(blobs, "blob")}, ${formatSize(bytes)}${how}${into}${before}.`,
    `${cached} are now cached for ${name}: run entrepot ls to see them.`,
  ];
  if (omitted > 0) {
    const space = link
      ? "free space on the disk"
      : "free space on the disk (--link takes none: it shares the files with the folder)";
    lines.push(`${counted(omitted, "blob")} did not fit: raise storage.maxSize, or ${space}.`);
  }
  if (outside > 0) {
    lines.push(
      `${counted(outside, "symbolic link")} out of the folder ${outside === 1 ? "was" : "were"} not followed: move what they lead to into the folder, or mount it there.`,
    );
  }
  if (corrupt > 0) {
    const [was, it, is] = corrupt === 1 ? ["was", "it", "is"] : ["were", "they", "are"];
    lines.push(
      `${counted(corrupt, "blob")} ${was} skipped as corrupt: ${it} ${is} fetched from ${name} when requested.`,
    );
  }
  if (failed > 0) {
    lines.push(...failures.map(({ path, reason }) => `failed: ${printable(path)}: ${reason}`));
    const was = failed === 1 ? "was" : "were";
    lines.push(
      `${counted(failed, "file or folder", "files or folders")} ${was} left out: mend the reason, and run again. What is adopted by then is not read again.`,
    );
  }
  return lines.join("\n");
}
