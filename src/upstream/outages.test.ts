import { expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { Outages } from "./outages.ts";
import * as dialing from "./upstreamtest/dialing.ts";
import { faultOf, rejection, serve } from "./upstreamtest/test-servers.ts";

const DEAD = { kind: "upstream-unreachable", upstream: "reg.test", reason: "a drill" };

// Blobs come over connections of our own, everything else over those of `fetch`.
test.each(["manifest", "blob", "token", "probe"] as const)(
  "a request for a %s to an upstream that counts as dead is not sent; others are",
  async (kind) => {
    using server = serve(() => new Response("ok"));
    const outages = new Outages();
    const subject = dialing.dialer({ outages });
    const request = dialing.request(`http://reg.test:${server.port}/`, { kind });
    outages.begin("reg.test", "a drill");
    expect(await faultOf(subject.dial(request))).toMatchObject(DEAD);
    expect(server.requests).toHaveLength(0);
    const other = await subject.dial({ ...request, upstream: "other.test" });
    expect(await dialing.readText(other.body)).toBe("ok");
    outages.end("reg.test");
    expect(await dialing.readText((await subject.dial(request)).body)).toBe("ok");
  },
);

test.each(["manifest", "blob"] as const)(
  "a %s that is being received breaks off, and so does a request that waits for its answer",
  async (kind) => {
    const answer = Promise.withResolvers<Response>();
    const unfinished = new ReadableStream({
      start: (stream) => stream.enqueue(new Uint8Array([1])),
    });
    using server = serve(({ path }) =>
      path === "/slow" ? answer.promise : new Response(unfinished),
    );
    const outages = new Outages();
    const subject = dialing.dialer({ outages });
    const url = `http://reg.test:${server.port}`;
    const response = await subject.dial(dialing.request(url, { kind }));
    const waiting = faultOf(subject.dial(dialing.request(`${url}/slow`, { kind })));
    await until(() => server.requests.length === 2, { what: "both requests" });
    outages.begin("reg.test", "a drill");
    expect(await waiting).toMatchObject(DEAD);
    expect(await rejection(dialing.readBytes(response.body))).toMatchObject({ detail: DEAD });
    await response.ended;
    answer.resolve(new Response());
  },
);
