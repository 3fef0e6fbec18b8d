import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { eventStream, type ServerEvent } from "./event-stream.ts";

function serve(events: () => AsyncIterator<ServerEvent>) {
  const server = Bun.serve({ port: 0, fetch: () => eventStream(events()) });
  return { url: server.url, [Symbol.dispose]: () => void server.stop(true) };
}

test("events are sent as the HTML standard has them", async () => {
  using server = serve(async function* () {
    yield { event: "job", id: "7", data: { text: "two\nlines\r" } };
    yield { data: 1 };
  });
  const response = await fetch(server.url);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(await response.text()).toBe(
    'event: job\nid: 7\ndata: {"text":"two\\nlines\\r"}\n\ndata: 1\n\n',
  );
});

test("a reader that goes away ends the events, and a slow one is no reason to make them", async () => {
  let made = 0;
  let hasEnded = false;
  using server = serve(async function* () {
    try {
      for (;;) yield { data: "x".repeat(1024 * 1024), id: String((made += 1)) };
    } finally {
      hasEnded = true;
    }
  });
  const reader = (await fetch(server.url)).body?.getReader();
  await reader?.read();
  // The buffers of both sockets, and of fetch.
  expect(made).toBeLessThan(32);
  await reader?.cancel();
  await until(() => hasEnded, { what: "the events end" });
});
