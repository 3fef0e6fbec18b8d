import { expect, test } from "bun:test";
import { encodeEvent } from "./encode.ts";
import type { Event } from "./event.ts";

const event: Event = {
  id: "evt_1",
  type: "tag.moved",
  subject: 'ghcr.io/a b:"1%"é',
  at: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  data: { message: "it moved", tag: "1" },
};

test("an event as Standard Webhooks have it", () => {
  expect(encodeEvent("standard", event, "//here")).toEqual({
    body: '{"type":"tag.moved","timestamp":"2026-01-02T03:04:05.006Z","data":{"message":"it moved","tag":"1"}}',
    headers: { "content-type": "application/json" },
  });
});

test("a CloudEvent in structured mode", () => {
  const { body, headers } = encodeEvent("cloudevents", event, "//here");
  expect(headers).toEqual({ "content-type": "application/cloudevents+json; charset=utf-8" });
  expect(JSON.parse(body)).toEqual({
    specversion: "1.0",
    id: "evt_1",
    source: "//here",
    type: "io.entrepot.tag.moved",
    subject: 'ghcr.io/a b:"1%"é',
    time: "2026-01-02T03:04:05.006Z",
    datacontenttype: "application/json",
    data: { message: "it moved", tag: "1" },
  });
});

test("a CloudEvent in binary mode has its attributes in headers, percent-encoded", () => {
  expect(encodeEvent("cloudevents-binary", event, "//here")).toEqual({
    body: '{"message":"it moved","tag":"1"}',
    headers: {
      "content-type": "application/json",
      "ce-specversion": "1.0",
      "ce-id": "evt_1",
      "ce-source": "//here",
      "ce-type": "io.entrepot.tag.moved",
      "ce-subject": "ghcr.io/a%20b:%221%25%22%C3%A9",
      "ce-time": "2026-01-02T03:04:05.006Z",
    },
  });
});
