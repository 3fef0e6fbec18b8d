import { readFileSync, renameSync } from "node:fs";
import { z } from "zod";
import { imageName, type ImageReference, parseImageReference } from "../../oci/image-reference.ts";
import { replaceFile } from "../../store/replace-file.ts";
import { systemCode } from "../../store/storage-fault.ts";

/** An image that is kept, with how long the cluster has not run it, in milliseconds while it could be read. */
export interface KeptImage {
  readonly image: ImageReference;
  readonly idle: number;
}

const schema = z.object({
  images: z.array(z.tuple([z.string(), z.number().min(0)])),
});

/**
 * The images that are kept, in a file of the data directory: after a restart, they are kept although the cluster
 * may be away. It is written beside its place first, so that a crash leaves one that is whole.
 */
export class KeptFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** What was written last; nothing if there is no file, or if it was damaged. */
  read(): KeptImage[] {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      return [];
    }
    const parsed = schema.safeParse(jsonOf(text));
    if (!parsed.success) return [];
    return parsed.data.images.flatMap(([name, idle]) => {
      const image = parseImageReference(name);
      return image ? [{ image, idle }] : [];
    });
  }

  /** @throws Error of the system, if the disk is full or read-only */
  write(images: readonly KeptImage[]): void {
    const rows = images.map(({ image, idle }) => [imageName(image), Math.round(idle)]);
    const next = `${this.#path}.new`;
    replaceFile(next, JSON.stringify({ images: rows }), true);
    renameSync(next, this.#path);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
