import { unlinkSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { systemCode } from "./storage-fault.ts";

/**
 * Removes a file, if there is one. Unlike `rm` of Bun, which makes EFAULT of many an error, it says what
 * is wrong with the disk.
 */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (cause) {
    rethrowUnlessMissing(cause);
  }
}

/** `removeFile`, for what is done before the first request or after the last one. */
export function removeFileSync(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    rethrowUnlessMissing(cause);
  }
}

function rethrowUnlessMissing(cause: unknown): void {
  if (systemCode(cause) !== "ENOENT") throw cause;
}
