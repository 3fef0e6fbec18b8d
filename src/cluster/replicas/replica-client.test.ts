import { expect, test } from "bun:test";
import { failureOf } from "./replica-client.ts";

function failed(code: string): string {
  const { kind, reason } = failureOf(Object.assign(new Error("message"), { code }));
  return `${kind}: ${reason}`;
}

test("what the codes of sockets and of TLS say of a member is told in words", () => {
  expect([
    failed("ECONNREFUSED"),
    failed("ENOTFOUND"),
    failed("EPROTO"),
    failed("CERT_HAS_EXPIRED"),
    failed("ERR_TLS_CERT_ALTNAME_INVALID"),
    failed("UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
    failed("SELF_SIGNED_CERT_IN_CHAIN"),
    failed("EUNHEARD"),
  ]).toEqual([
    "silent-member: nothing listens there (ECONNREFUSED)",
    "silent-member: its name has no address (ENOTFOUND)",
    "silent-member: it does not speak TLS (EPROTO)",
    "member-certificate: it has expired (CERT_HAS_EXPIRED)",
    "member-certificate: it is for another name (ERR_TLS_CERT_ALTNAME_INVALID)",
    "member-certificate: its CA is not trusted here (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
    "member-certificate: its CA is not trusted here (SELF_SIGNED_CERT_IN_CHAIN)",
    "silent-member: EUNHEARD",
  ]);
  expect(failureOf(new Error("a message")).reason).toBe("a message");
});
