import { expect, test } from "bun:test";
import { Versions } from "./versions.ts";

const transfer = (host: string, tag: string) => ({
  start: 0,
  body: new ReadableStream<Uint8Array>(),
  reportCorrupt: () => false,
  version: { host, tag },
});

test("parts of one host are of one version, and those of other hosts say nothing of it", () => {
  const versions = new Versions();
  versions.check(transfer("reg.test", '"one"'));
  versions.note(transfer("reg.test", '"one"'));
  versions.check(transfer("reg.test", '"one"'));
  versions.check(transfer("mirror.test", '"two"'));
  expect(() => versions.check(transfer("reg.test", '"two"'))).toThrow(
    'the blob changed while it was downloaded: it is "two", and was "one"',
  );
  versions.note(transfer("reg.test", '"two"'));
  versions.check(transfer("reg.test", '"two"'));
});
