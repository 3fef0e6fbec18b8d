import { expect, test } from "bun:test";
import { basename, dirname } from "node:path";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { NodeFiles } from "../files/node-files.ts";
import { Connection } from "./connection.ts";
import { Engine } from "./engine.ts";

const fault = { message: expect.stringContaining("did not respond within") };

async function withSocket(answer: string, use: (socket: string) => Promise<void>): Promise<void> {
  await using dir = await tempDir();
  const socket = dir.file("docker.sock");
  using listener = Bun.listen({
    unix: socket,
    socket: { data: (client) => void client.write(answer) },
  });
  await use(socket);
  listener.stop();
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test.each([
  ["says nothing", ""],
  ["stops in the middle of an answer", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"],
])("a socket that %s did not respond", (_, answer) =>
  withSocket(answer, async (socket) => {
    const engine = new Engine(socket);
    const failures = await Promise.all([
      failureOf(engine.info(200)),
      failureOf(engine.pull("a:1", 200)),
    ]);
    expect(failures).toMatchObject([
      { ...fault, kind: "timeout" },
      { ...fault, kind: "timeout" },
    ]);
  }),
);

test(
  "a Docker that does not respond is not said to be absent",
  () =>
    withSocket("", async (socket) => {
      // Nothing but the socket is below this root.
      const files = new NodeFiles(dirname(socket));
      const options = { files, socket: `/${basename(socket)}`, filesOnly: false };
      const connection = new Connection(options);
      expect(await failureOf(connection.docker())).toMatchObject(fault);
    }),
  20_000,
);
