/** Text is sent in pieces of about so many characters. */
const PIECE_LENGTH = 16 * 1024;
/** How long the client may take to read a piece, in milliseconds. The list takes memory meanwhile. */
const MAX_STALL_MS = 60_000;

export interface JsonListOptions {
  /** What follows the list in the object. It is made once the client has read the list. */
  readonly last?: () => Promise<object>;
  /** Called once, when the response is read or has ended otherwise. */
  readonly ended?: () => void;
  /** How long the client may take to read a piece, in milliseconds; a minute by default. */
  readonly maxStall?: number;
}

/**
 * A response of JSON: an object with one list, which is made while the client reads it, so that it is never in
 * memory as a whole. If its beginning fails, there is no response. If the list breaks off later, so does the
 * response; if what follows it fails, the object ends with `error`. A client that stops reading, or goes away, ends the list, and what would follow it does not begin.
 *
 * @param name of the list
 */
export async function jsonList(
  name: string,
  items: AsyncIterator<unknown>,
  { last = async () => ({}), ended = () => {}, maxStall = MAX_STALL_MS }: JsonListOptions = {},
): Promise<Response> {
  const encoder = new TextEncoder();
  let text = `{${JSON.stringify(name)}:[`;
  let separator = "";
  let stall: NodeJS.Timeout | undefined;
  let hasEnded = false;
  const end = async (): Promise<void> => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(stall);
    await items.return?.();
    ended();
  };
  const readPiece = async (): Promise<"more" | "last"> => {
    while (text.length < PIECE_LENGTH) {
      const { done, value } = await items.next();
      if (done) return "last";
      text += separator + JSON.stringify(value);
      separator = ",";
    }
    return "more";
  };
  let first: "more" | "last" | undefined;
  try {
    first = await readPiece();
  } catch (error) {
    await end();
    throw error;
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stall);
        try {
          const piece = first ?? (await readPiece());
          first = undefined;
          if (hasEnded) return;
          if (piece === "last") text += `]${await members(last)}}`;
          controller.enqueue(encoder.encode(text));
          text = "";
          if (piece === "more") {
            stall = setTimeout(() => {
              controller.error(new Error("the client stopped reading"));
              void end();
            }, maxStall);
            return;
          }
          controller.close();
          await end();
        } catch (error) {
          await end();
          throw error;
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "application/json;charset=utf-8" } });
}

/** The members of an object as JSON, to follow another one. */
async function members(make: () => Promise<object>): Promise<string> {
  const made = await make().catch((error: unknown) => ({
    error: error instanceof Error ? error.message : String(error),
  }));
  const text = JSON.stringify(made).slice(1, -1);
  return text === "" ? "" : `,${text}`;
}
