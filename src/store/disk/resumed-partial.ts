import type { FileHandle } from "node:fs/promises";
import type { ExtentMap } from "../extents.ts";
import { ExtentJournal } from "./extent-journal.ts";

/** What an earlier writer left in a partial file. */
export interface ResumedPartial {
  readonly journal: ExtentJournal;
  /** How many bytes are there from the first one on. */
  readonly prefix: number;
  /** What is there in all, if the file is sparse. */
  readonly extents: ExtentMap | undefined;
}

/** Finds out what a partial file holds. It is emptied if that cannot be known. */
export async function resumePartial(file: FileHandle, path: string): Promise<ResumedPartial> {
  const { size } = await file.stat();
  try {
    // A file that was removed may have left its journal behind.
    if (size === 0) await new ExtentJournal(path).remove();
    const journal = new ExtentJournal(path);
    const extents = size === 0 ? undefined : await journal.read(size);
    return {
      journal,
      extents,
      prefix: extents ? extents.endFrom(0) : size,
    };
  } catch {
    await file.truncate(0);
    await new ExtentJournal(path).remove();
    return { journal: new ExtentJournal(path), extents: undefined, prefix: 0 };
  }
}
