import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCode } from "../storage-fault.ts";

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** Opens the file of a partial download, or creates it, and its folder if somebody has removed that. */
export async function openPartialFile(path: string): Promise<FileHandle> {
  const file = await openOrCreate(path);
  try {
    const { nlink } = await file.stat();
    if (nlink > 1) throw new Error("the file has another name elsewhere: remove this one");
    return file;
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, FLAGS, 0o600);
  } catch (cause) {
    if (systemCode(cause) !== "ENOENT") throw cause;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return open(path, FLAGS, 0o600);
  }
}
