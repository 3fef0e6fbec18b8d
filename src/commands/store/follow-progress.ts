import { z } from "zod";
import type { Done } from "../progress.ts";
import { CommandError } from "./store-connection.ts";

const told = z.union([
  z.object({ result: z.unknown() }),
  z.object({ error: z.string() }),
  z.object({
    files: z.number(),
    bytes: z.number(),
    of: z.object({ files: z.number(), bytes: z.number() }).optional(),
  }),
]);

/** Reads what a running cache tells line by line of something that takes a while, and its result. */
export async function followed<Form extends z.ZodType>(
  response: Response,
  form: Form,
  show: (done: Done) => void,
): Promise<z.infer<Form>> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of untilBroken(response)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      const line = told.parse(JSON.parse(text));
      if ("error" in line) throw new CommandError(line.error);
      if ("files" in line) {
        const { files, bytes, of } = line;
        show({ files, bytes, ...(of ? { of } : {}) });
      } else return form.parse(line.result);
    }
  }
  throw new CommandError("the cache ended before it was done: ask it again");
}

/** A cache that is killed breaks the connection, which says no more than its end does. */
async function* untilBroken({ body }: Response): AsyncGenerator<Uint8Array> {
  try {
    yield* body ?? [];
  } catch {
    return;
  }
}
