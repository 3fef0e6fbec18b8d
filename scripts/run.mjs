// Running a program in the foreground.
import { spawn } from "node:child_process";
import os from "node:os";

/**
 * Runs a program with this one's input, output and signals, and resolves to its exit code; to 128
 * and the signal's number where a signal ended it, as a shell has it.
 */
export function run(command, args, options = {}) {
  const isOnTerminal = process.stdin.isTTY || process.stderr.isTTY;
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit", ...options });
    const forward = Object.fromEntries(
      ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => [
        signal,
        () => {
          // On a terminal, Ctrl-C reaches the child by itself, and a second one would hurry it.
          if (signal !== "SIGINT" || !isOnTerminal) child.kill(signal);
        },
      ]),
    );
    for (const [signal, listener] of Object.entries(forward)) process.on(signal, listener);
    const end = (code) => {
      for (const [signal, listener] of Object.entries(forward)) process.off(signal, listener);
      resolve(code);
    };
    child.on("error", (error) => {
      console.error(`${command} could not be started: ${error.message}`);
      end(127);
    });
    child.on("exit", (code, signal) => end(code ?? 128 + (os.constants.signals[signal] ?? 0)));
  });
}
