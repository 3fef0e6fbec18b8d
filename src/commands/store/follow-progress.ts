import { z } from "zod";
import type { Progress } from "../progress.ts";
import { CommandError } from "./store-connection.ts";

/** A line of server/admin/progress-stream.ts. */
const progressLine = z.union([
  z.object({ result: z.unknown() }),
  z.object({ error: z.string() }),
  z.object({
    files: z.number(),
    bytes: z.number(),
    of: z.object({ files: z.number(), bytes: z.number() }).optional(),
  }),
]);

/**
 * Reads the progress and the result of a long operation of a running cache.
 *
 * @throws CommandError if the operation failed, or if the cache stopped meanwhile
 */
export async function followProgress<Schema extends z.ZodType>(
  response: Response,
  schema: Schema,
  onProgress: (progress: Progress) => void,
): Promise<z.infer<Schema>> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of untilBroken(response)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      const line = progressLine.parse(JSON.parse(text));
      if ("error" in line) throw new CommandError(line.error);
      if ("files" in line) {
        const { files, bytes, of } = line;
        onProgress({ files, bytes, ...(of ? { of } : {}) });
      } else return schema.parse(line.result);
    }
  }
  throw new CommandError("the cache stopped before it was done: run the command again");
}

/** A killed cache breaks the connection. That is handled like a stream that ends early. */
async function* untilBroken({ body }: Response): AsyncGenerator<Uint8Array> {
  try {
    yield* body ?? [];
  } catch {
    return;
  }
}
