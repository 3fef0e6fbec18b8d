import { DownloadProgram } from "./upstream/download-thread/download-program.ts";
import type { FromThread, ToThread } from "./upstream/download-thread/messages.ts";

// What runs in the thread that receives blobs (upstream/download-thread/download-thread.ts).
declare const self: Worker;

let program: DownloadProgram | undefined;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
const post = (message: FromThread): void => self.postMessage(message);

self.addEventListener("message", ({ data }) => {
  // The main thread posts no other messages.
  const message = data as ToThread;
  if (message.kind === "begin") program = new DownloadProgram(message, post);
  else program?.receive(message);
});
