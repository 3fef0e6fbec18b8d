import { expect } from "bun:test";
import { join } from "node:path";
import { run } from "../../../test/harness/processes.ts";
import { concurrentRealTest } from "../../../test/harness/real-components.ts";
import { type SystemFault, withSystemFault } from "../../../test/harness/faults/system-faults.ts";

const RECEIVE = ["recvfrom", "recvmsg"];
const SEND = ["sendto", "sendmsg"];

/** What fails of a request, at the system calls of sockets. */
const PHASES: readonly (readonly [phase: string, fault: SystemFault])[] = [
  ["send a request", { calls: SEND, error: "ENOBUFS" }],
  ["receive a head", { calls: RECEIVE, error: "ENOMEM" }],
  ["receive a body", { calls: RECEIVE, error: "ENOBUFS", when: "2+" }],
];

/** Requests something from a server that sends a body bit by bit, and prints the kind of fault. */
const script = (url: string, kind: string): string => `
  import { Dialer } from ${JSON.stringify(join(import.meta.dir, "dialer.ts"))};
  const dialer = new Dialer({ timeouts: { headers: 500 } });
  const request = {
    upstream: "reg.test", url: new URL(${JSON.stringify(url)}), kind: ${JSON.stringify(kind)},
    method: "GET", headers: {}, allowPrivate: true,
  };
  let hasHead = false;
  const fault = await (async () => {
    const { body } = await dialer.dial(request);
    hasHead = true;
    for await (const _ of body);
  })().catch((error) => error.detail);
  require("node:fs").writeFileSync(1, JSON.stringify([fault?.kind, fault?.limit, hasHead]));
  process.exit();
`;

for (const [phase, fault] of PHASES) {
  for (const [client, kind] of [
    ["the own client", "blob"],
    ["fetch", "manifest"],
  ]) {
    concurrentRealTest(`that ${client} cannot ${phase} is a limit of this machine`, async () => {
      using server = Bun.serve({
        port: 0,
        fetch: () =>
          new Response(
            new ReadableStream({
              async pull(controller) {
                controller.enqueue(new Uint8Array(1000));
                await Bun.sleep(20);
              },
            }),
          ),
      });
      const command = [process.execPath, "-e", script(server.url.href, kind ?? "")];
      const { stdout, stderr } = await run(withSystemFault(fault, command));
      expect([stdout, stderr]).toEqual([
        JSON.stringify(["local-limit", "memory", phase === "receive a body"]),
        "",
      ]);
    });
  }
}
