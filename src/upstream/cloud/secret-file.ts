import { CloudError } from "./cloud-error.ts";

const MAX_FILE_BYTES = 64 * 1024;

/**
 * A file with secrets, which somebody may replace at any time.
 *
 * @throws CloudError
 */
export async function readSecretFile(path: string): Promise<string> {
  try {
    const text = await Bun.file(path)
      .slice(0, MAX_FILE_BYTES + 1)
      .text();
    if (text.length <= MAX_FILE_BYTES) return text;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    throw new CloudError(`${path} cannot be read (${code})`, { cause });
  }
  throw new CloudError(`${path} is larger than 64 KiB`);
}

/**
 * The one line of a file with a secret.
 *
 * @throws CloudError
 */
export async function readSecretLine(path: string): Promise<string> {
  const text = (await readSecretFile(path)).trim();
  if (text === "") throw new CloudError(`${path} is empty`);
  // It becomes a part of a header.
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new CloudError(`${path} has more than one line or word of ASCII`);
}
