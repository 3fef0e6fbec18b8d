/** An entry of an archive; `target` makes it a symbolic link. */
export interface TarEntry {
  readonly path: string;
  readonly content?: Uint8Array;
  readonly target?: string;
  readonly mode?: number;
}

const BLOCK = 512;

/** A reproducible ustar archive, without times and owners. */
export function tar(entries: readonly TarEntry[]): Uint8Array<ArrayBuffer> {
  const parts = entries.flatMap((entry) => {
    const content = entry.content ?? new Uint8Array();
    return [tarHeader(entry, content.byteLength), content, padding(content.byteLength)];
  });
  return new Uint8Array(Buffer.concat([...parts, TAR_END]));
}

/** The end-of-archive marker. */
export const TAR_END = new Uint8Array(2 * BLOCK);

/** The header of an entry with `size` bytes of content. A path that ends in a slash is a folder. */
export function tarHeader({ path, target, mode = 0o755 }: TarEntry, size: number): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  const isFolder = path.endsWith("/");
  header.write(path, 0, 100);
  header.write(octal(mode, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136);
  // The checksum is computed with spaces in its own field.
  header.write("        ", 148);
  header.write(target === undefined ? (isFolder ? "5" : "0") : "2", 156);
  header.write(target ?? "", 157, 100);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)} `, 148);
  return header;
}

/** The padding after a file of `size` bytes. */
export function padding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}
