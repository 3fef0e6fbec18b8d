/** Text is sent in pieces of about so many characters. */
const PIECE_LENGTH = 16 * 1024;

/**
 * A response of JSON: an object with one list, which is made while the client reads it, so that it is never in
 * memory as a whole. If the list breaks off, so does the response.
 *
 * @param name of the list
 */
export function jsonList(name: string, items: AsyncIterator<object>): Response {
  const encoder = new TextEncoder();
  let text = `{${JSON.stringify(name)}:[`;
  let separator = "";
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        while (text.length < PIECE_LENGTH) {
          const { done, value } = await items.next();
          if (done) {
            controller.enqueue(encoder.encode(`${text}]}`));
            controller.close();
            return;
          }
          text += separator + JSON.stringify(value);
          separator = ",";
        }
        controller.enqueue(encoder.encode(text));
        text = "";
      },
      async cancel() {
        await items.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "application/json;charset=utf-8" } });
}
