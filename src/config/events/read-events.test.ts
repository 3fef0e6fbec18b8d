import { expect, test } from "bun:test";
import { rootCertificates } from "node:tls";
import { configErrorOf, filesOf } from "../configtest/load-text.ts";
import { loadSettings } from "../load.ts";

const SECRET = `whsec_${Buffer.from("0123456789abcdef01234567").toString("base64")}`;

function load(webhook: string) {
  return loadSettings({
    flags: { config: "/etc/e.yaml" },
    readFile: filesOf({
      "/etc/e.yaml": `events:\n  source: urn:cache:1\n  webhooks:\n    ops: ${webhook}\n`,
      "/etc/secret": `${SECRET}\n`,
      "/etc/two": `${SECRET}\n\n${SECRET.replace("M", "N")}\n`,
      "/etc/word": "password\n",
      "/etc/short": `whsec_${Buffer.from("short").toString("base64")}\n`,
      "/etc/blank": "\n",
      "/etc/ca.pem": rootCertificates[0] ?? "",
    }),
  }).events;
}

test("a receiver with all its settings", () => {
  expect(
    load(
      "{ url: 'https://ops.example:8443/a?b=c', format: cloudevents, secretFile: two, types: [disk.full], ca: ca.pem }",
    ),
  ).toEqual({
    source: "urn:cache:1",
    webhooks: [
      {
        name: "ops",
        url: new URL("https://ops.example:8443/a?b=c"),
        format: "cloudevents",
        secrets: [SECRET, SECRET.replace("M", "N")],
        types: ["disk.full"],
        ca: rootCertificates[0] ?? "",
      },
    ],
  });
});

const secretAdvice =
  "is no secret: write whsec_ and Base64 of 24 to 64 bytes (printf whsec_; openssl rand -base64 32)";

test.each([
  ["{ url: 'http://ops.example', secretFile: secret }", "(accepted)"],
  ["{ url: 'http://ops.example', format: cloudevents }", "(accepted)"],
  [
    "{ url: 'http://ops.example' }",
    "/etc/e.yaml:4:5: events.webhooks.ops: format standard needs a secretFile: its receiver verifies signatures: set secretFile, or another format",
  ],
  [
    "{ url: ops.example, secretFile: secret }",
    '/etc/e.yaml:4:17: events.webhooks.ops.url: "ops.example" is no URL: write http:// or https://',
  ],
  [
    "{ url: 'file:///etc/passwd', secretFile: secret }",
    '/etc/e.yaml:4:17: events.webhooks.ops.url: "file:///etc/passwd" is no URL: write http:// or https://',
  ],
  [
    "{ url: 'https://me:pw@ops.example', secretFile: secret }",
    "/etc/e.yaml:4:17: events.webhooks.ops.url: contains credentials: receivers verify the signature instead",
  ],
  [
    "{ url: 'https://ops.example', secretFile: word }",
    `/etc/e.yaml:4:52: events.webhooks.ops.secretFile: /etc/word ${secretAdvice}`,
  ],
  [
    "{ url: 'https://ops.example', secretFile: short }",
    `/etc/e.yaml:4:52: events.webhooks.ops.secretFile: /etc/short ${secretAdvice}`,
  ],
  [
    "{ url: 'https://ops.example', secretFile: blank }",
    "/etc/e.yaml:4:52: events.webhooks.ops.secretFile: /etc/blank contains no secret",
  ],
])("the receiver %s: %s", (webhook, expected) => {
  expect(configErrorOf(() => load(webhook))).toBe(expected);
});

test.each(["a b", "a%", "é", "urn:<x>"])("the source %p is no URI", (source) => {
  const text = `events: { source: ${JSON.stringify(source)} }\n`;
  const loaded = () =>
    loadSettings({ flags: { config: "/e.yaml" }, readFile: filesOf({ "/e.yaml": text }) });
  expect(configErrorOf(loaded)).toBe(
    `/e.yaml:1:19: events.source: ${JSON.stringify(source)} is no URI: write one such as https://cache.example or urn:cache:1`,
  );
});

test.each([
  ["ops: { url: 'https://a', secretFile: secret, types: [tag.move] }", "tag.move"],
  ["'../x': { url: 'https://a', secretFile: secret }", "is no name"],
])("a wrong name is refused: %s", (webhooks, expected) => {
  const error = configErrorOf(() =>
    loadSettings({
      flags: { config: "/etc/e.yaml" },
      readFile: filesOf({
        "/etc/e.yaml": `events: { webhooks: { ${webhooks} } }\n`,
        "/etc/secret": SECRET,
      }),
    }),
  );
  expect(error).toContain(expected);
});
