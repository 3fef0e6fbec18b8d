import { z } from "zod";
import { quote } from "../parsing/problems.ts";

const EXAMPLE = "write a URL such as http://collector:4318";
/** Where OTLP/HTTP takes traces, below the address of the receiver. */
const TRACES_PATH = "/v1/traces";

const endpoint = z
  .string()
  .transform((text, context) => {
    const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
    const problem = url ? problemOf(url) : `is not a URL: ${EXAMPLE}`;
    if (!url || problem !== undefined) {
      // A password in it is not for the terminal.
      const shown = quote(text.replace(/\/\/[^/]*@/, "//…@"));
      context.addIssue({ code: "custom", message: `${shown} ${problem}` });
      return z.NEVER;
    }
    if (!url.pathname.endsWith(TRACES_PATH))
      url.pathname = url.pathname.replace(/\/*$/, TRACES_PATH);
    return url;
  })
  .meta({ pattern: String.raw`^[Hh][Tt][Tt][Pp][Ss]?://[^?#@]+$` });

function problemOf({ username, password, search, hash, port }: URL): string | undefined {
  if (username || password) return "contains credentials: put a header into headersFile";
  if (search || hash) return `has a query or fragment: ${EXAMPLE}`;
  if (port === "4317") {
    return "has the port of OTLP over gRPC, which is not supported: that of HTTP is 4318";
  }
  return undefined;
}

/** `tracing` of entrepot.yaml. */
export const tracingSchema = z.strictObject({
  endpoint: endpoint.describe(
    "The address of an OTLP/HTTP receiver, such as http://collector:4318; /v1/traces is appended unless the path ends in it. Pulls never wait for it.",
  ),
  sample: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      "The part of the pulls that is traced: 0.01 is one of a hundred. A pull with a traceparent is traced if its client traces it, up to 50 per second, and otherwise not. Default: 0.01.",
    ),
  headersFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The file with headers for the receiver, one Name: value per line, such as Authorization. It may be replaced while the cache runs. Default: none.",
    ),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "CA certificates to trust for the receiver in addition to the public ones: a PEM file, or PEM text. A change needs a restart. Default: none.",
    ),
});

export type TracingEntry = z.infer<typeof tracingSchema>;
