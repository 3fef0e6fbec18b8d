import { expect, test } from "bun:test";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import type { ToThread } from "./messages.ts";
import { RemoteDownload } from "./remote-download.ts";

const URL_OF_BLOB = new URL("http://reg.test/blob");

/** A download of so many chunks, each of which is there as soon as it is asked for. */
function downloadOf(chunks: number) {
  const shared = new SharedArrayBuffer(16);
  const posted: ToThread["kind"][] = [];
  const post = (message: ToThread): void => {
    posted.push(message.kind);
    if (message.kind !== "read") return;
    if (posted.filter((kind) => kind === "read").length > chunks) download.onEnd();
    else download.onBytes({ kind: "bytes", id: 1, part: { at: 0, length: 16 }, heldBack: 0 });
  };
  const download = new RemoteDownload(
    1,
    { shared, post, ended: () => {} },
    {
      endpoint: { ip: "127.0.0.1", port: 80, host: "reg.test" },
      headers: {},
      signal: new AbortController().signal,
      url: URL_OF_BLOB,
      lends: true,
    },
  );
  download.onHead({ kind: "head", id: 1, status: 200, headers: [] });
  return { download, posted };
}

test("a download whose bytes are always there leaves turns of the event loop to others", async () => {
  const { download } = downloadOf(100);
  const turns = await eventLoopTurns(async () => {
    while (!(await download.read()).done);
  });
  expect(turns).toBeGreaterThan(20);
});

test("a download that is cancelled while it waits for its turn reads nothing more", async () => {
  const { download, posted } = downloadOf(100);
  for (let chunks = 0; chunks < 4; chunks += 1) await download.read();
  const reading = download.read();
  await download.cancel();
  expect(await reading).toEqual({ done: true });
  expect(posted.filter((kind) => kind === "read").length).toBe(4);
});
