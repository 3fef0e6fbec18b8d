import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withSystemd } from "./systemd-bus.ts";

/** A systemd that answers the first bytes of a connection with these, and then nothing. */
async function asked(answer: string): Promise<{ received: string; failure: unknown }> {
  const folder = mkdtempSync(join(tmpdir(), "entrepot-bus-"));
  const path = join(folder, "private");
  let received = "";
  const server = Bun.listen({
    unix: path,
    socket: {
      data(socket, bytes) {
        if (received !== "") return;
        received = bytes.toString("latin1");
        if (answer !== "") socket.write(answer);
        socket.end();
      },
    },
  });
  try {
    const failure: unknown = await withSystemd(path, (systemd) => systemd.unit("x.service")).catch(
      (error: unknown) => error,
    );
    return { received, failure };
  } finally {
    server.stop(true);
    rmSync(folder, { recursive: true });
  }
}

test("BEGIN is sent with the first bytes: what systemd reads behind it would wait for more", async () => {
  const uid = Buffer.from(String(process.getuid?.())).toString("hex");
  const { received } = await asked("OK 0123\r\n");
  expect(received).toBe(`\0AUTH EXTERNAL ${uid}\r\nBEGIN\r\n`);
});

test.each([
  [
    "a systemd that refuses the user",
    "REJECTED EXTERNAL\r\n",
    "refuses this user: REJECTED EXTERNAL",
  ],
  ["a systemd that ends the connection", "", "ended the connection"],
  ["a systemd that goes away after the greeting", "OK 0123\r\n", "systemd at "],
])("%s is told as such", async (_, answer, message) => {
  const { failure } = await asked(answer);
  expect(failure).toMatchObject({
    name: "SystemdFault",
    message: expect.stringContaining(message),
  });
});

test("a socket that nobody listens on is told as such", async () => {
  const failure: unknown = await withSystemd("/nowhere/private", (systemd) =>
    systemd.unit("x.service"),
  ).catch((error: unknown) => error);
  expect(failure).toMatchObject({
    name: "SystemdFault",
    message: expect.stringContaining("cannot be asked"),
  });
});
