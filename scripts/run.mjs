// Runs a program in the foreground.
import { spawn } from "node:child_process";
import os from "node:os";

/**
 * Runs a program with this process's standard streams, and forwards signals to it. Resolves to its
 * exit code; like in a shell, that is 128 plus the signal's number if a signal ended it, and 127 if
 * it could not be started.
 */
export function run(command, args, options = {}) {
  const isOnTerminal = process.stdin.isTTY || process.stderr.isTTY;
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit", ...options });
    const forward = Object.fromEntries(
      ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => [
        signal,
        () => {
          // On a terminal, Ctrl-C already sends SIGINT to the child, which exits at once on a
          // second.
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
