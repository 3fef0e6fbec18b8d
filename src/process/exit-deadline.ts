/**
 * Ends the process by `_exit(2)`, as a worker does it: the main thread may be waiting for a disk.
 * A string, since a single-file executable has no separate file from which a worker could be started.
 */
const PROGRAM = `
import { dlopen } from "bun:ffi";
self.onmessage = ({ data: { milliseconds, message } }) => {
  setTimeout(() => {
    require("node:fs").writeSync(2, message);
    dlopen("libc.so.6", { _exit: { args: ["i32"], returns: "void" } }).symbols._exit(0);
  }, milliseconds);
};
`;

/**
 * Ends the process with exit code 0 after a time, whatever its main thread is waiting for. Everything
 * on the disk is left as after a power cut.
 *
 * @param message written to stderr before
 */
export function exitAfter(milliseconds: number, message: string): void {
  const url = URL.createObjectURL(new Blob([PROGRAM], { type: "application/javascript" }));
  const worker = new Worker(url);
  worker.unref();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
  worker.postMessage({ milliseconds, message });
}
