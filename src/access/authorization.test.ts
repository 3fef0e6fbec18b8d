import { expect, test } from "bun:test";
import {
  type Authorization,
  parseAuthorization,
  type PresentedCredentials,
} from "./authorization.ts";

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

test("credentials are what RFC 7617 and RFC 6750 say", () => {
  const presented = (credentials: PresentedCredentials): Authorization => ({
    kind: "presented",
    credentials,
  });
  const ann: PresentedCredentials = { scheme: "basic", username: "ann", password: "p:w" };
  expect(parseAuthorization(basic("ann:p:w"))).toEqual(presented(ann));
  expect(parseAuthorization(basic("ann:p:w").replace("Basic ", "bAsIc  "))).toEqual(presented(ann));
  expect(parseAuthorization(basic(":key"))).toEqual(
    presented({ scheme: "basic", username: "", password: "key" }),
  );
  expect(parseAuthorization(basic("zoë:€"))).toEqual(
    presented({ scheme: "basic", username: "zoë", password: "€" }),
  );
  expect(parseAuthorization("Bearer a.b-c_d~+/==")).toEqual(
    presented({ scheme: "bearer", token: "a.b-c_d~+/==" }),
  );
});

test("no credentials are none, also those of containers/image without any", () => {
  for (const header of [null, "", basic(":")]) {
    expect(parseAuthorization(header)).toEqual({ kind: "none" });
  }
});

test("what is malformed has a reason that shows nothing of it", () => {
  const secret = "s3cret";
  for (const header of [
    `Basic ${"A".repeat(64 * 1024)}`,
    `Basic ${secret}!`,
    "Basic ",
    "Basic",
    basic(secret),
    basic(`ann:${secret}\n`),
    basic(`ann\0:${secret}`),
    `Basic ${Buffer.from([0x61, 0x3a, 0xff, 0xfe]).toString("base64")}`,
    "Bearer",
    `Bearer ${secret} ${secret}`,
    `Bearer "${secret}"`,
    `Digest username="${secret}"`,
    `Negotiate ${secret}`,
    " Basic YTpi",
  ]) {
    const parsed = parseAuthorization(header);
    expect([header.slice(0, 40), parsed.kind]).toEqual([header.slice(0, 40), "invalid"]);
    expect(JSON.stringify(parsed)).not.toContain(secret);
    expect(JSON.stringify(parsed)).not.toContain("AAAA");
  }
});
