import { expect, test } from "bun:test";
import { SharedStoreError, type SharedStoreProblem } from "../shared-store/shared-store-error.ts";
import { responseProblem } from "./response-problem.ts";

const ASKED = { action: "PutObject", bucket: "blobs" };

const xml = (code: string, rest = ""): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>m</Message>${rest}</Error>`;

const cases: [status: number, body: string, SharedStoreProblem][] = [
  [403, xml("AccessDenied"), { kind: "denied", action: "PutObject", code: "AccessDenied" }],
  [403, xml("constructor"), { kind: "denied", action: "PutObject", code: "constructor" }],
  [403, "", { kind: "denied", action: "PutObject", code: "403" }],
  [403, xml("RequestTimeTooSkewed"), { kind: "clock", code: "RequestTimeTooSkewed" }],
  [
    403,
    xml("InvalidAccessKeyId"),
    { kind: "credentials", reason: "the access key is not known (InvalidAccessKeyId)" },
  ],
  [
    400,
    xml("ExpiredToken"),
    { kind: "credentials", reason: "the session token has expired (ExpiredToken)" },
  ],
  [404, xml("NoSuchBucket"), { kind: "no-bucket", bucket: "blobs" }],
  [
    400,
    xml("AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"),
    { kind: "elsewhere", where: "it is in the region eu-central-1" },
  ],
  [
    301,
    xml("PermanentRedirect", "<Endpoint>b.s3.test</Endpoint>"),
    { kind: "elsewhere", where: "it is at b.s3.test" },
  ],
  [302, "", { kind: "elsewhere", where: "it redirects" }],
  [403, xml("QuotaExceeded"), { kind: "full", code: "QuotaExceeded" }],
  [507, "", { kind: "full", code: "507" }],
  [400, xml("BadDigest"), { kind: "wrong-bytes" }],
  [503, xml("SlowDown"), { kind: "busy", status: 503 }],
  [429, "", { kind: "busy", status: 429 }],
  [500, xml("InternalError"), { kind: "failed", status: 500, code: "InternalError" }],
  [502, "<html>Bad Gateway</html>", { kind: "failed", status: 502, code: "" }],
  [
    405,
    "<html>405 Not Allowed</html>",
    { kind: "invalid-response", reason: '405 with "text/html"' },
  ],
  [400, xml("a\u0007\n<script>"), { kind: "invalid-response", reason: '400 with "text/html"' }],
];

test.each(cases)("%p with %p", (status, body, problem) => {
  const headers = new Headers({ "content-type": "text/html" });
  expect(responseProblem({ status, headers, body }, ASKED)).toEqual(problem);
  const error = new SharedStoreError("the shared store s3.test/blobs", problem);
  expect(error.message).toStartWith("the shared store s3.test/blobs ");
  expect(error.toFault().message).toContain("s3.test/blobs");
});
