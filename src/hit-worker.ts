import type { FromWorker, ToWorker } from "./server/threads/messages.ts";
import { WorkerProgram } from "./server/threads/worker-program.ts";

// What runs in each thread that accepts connections (server/threads/hit-workers.ts).
declare const self: Worker;

let program: WorkerProgram | undefined;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
const post = (message: FromWorker): void => self.postMessage(message);

self.addEventListener("message", ({ data }) => {
  // The main thread posts no other messages.
  const message = data as ToWorker;
  if (message.kind === "start") program = new WorkerProgram(message, post);
  else program?.onMessage(message);
});
