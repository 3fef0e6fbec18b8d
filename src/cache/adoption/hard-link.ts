import type { Stats } from "node:fs";
import { link, lstat, rename } from "node:fs/promises";
import { removeFile } from "../../store/remove-file.ts";
import { systemCode } from "../../store/storage-fault.ts";

/**
 * Gives a file a second name, by way of a temporary one.
 *
 * @param verified the file whose content was verified, from its descriptor
 * @returns "impossible" if the file system does not allow a hard link here, and "changed" if the path leads
 * to another file by now: `to` is as it was before
 */
export async function hardLink(
  from: string,
  { temporary, to }: { readonly temporary: string; readonly to: string },
  verified: Stats,
): Promise<"linked" | "impossible" | "changed"> {
  try {
    await link(from, temporary);
    const { dev, ino } = await lstat(temporary);
    if (dev !== verified.dev || ino !== verified.ino) return "changed";
    await rename(temporary, to);
    return "linked";
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (["EXDEV", "EPERM", "EMLINK", "EOPNOTSUPP", "ENOSYS"].includes(code)) return "impossible";
    throw error;
  } finally {
    // A rename between two names of one file does nothing, and leaves both.
    await removeFile(temporary);
  }
}
