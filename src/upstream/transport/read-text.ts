/**
 * Reads a small body.
 *
 * @throws Error if it is larger; whatever the body fails with
 */
export async function readText(
  body: ReadableStream<Uint8Array> | null | undefined,
  limit: number,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > limit) throw new RangeError(`more than ${limit} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
