import { expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { z } from "zod";
import { describeApi } from "./document.ts";
import { operation } from "./operation.ts";

test("operations are described as OpenAPI 3.1", async () => {
  const document = describeApi(
    [
      operation({
        id: "watchThing",
        method: "POST",
        path: "/things/{name}",
        tag: "things",
        summary: "Watches a thing",
        description: "Until it ends.",
        right: "admin",
        params: z.strictObject({ name: z.string() }),
        body: z.strictObject({ since: z.int() }),
        status: 202,
        headers: { location: "the job" },
        refusals: [409],
        answer: { type: "text/event-stream", schema: z.string(), description: "What happens" },
        handle: () => new Response(),
      }),
    ],
    "1.2.3",
  );
  expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
  const described = document.paths?.["/things/{name}"]?.post;
  expect(described).toMatchObject({
    operationId: "watchThing",
    description: "Until it ends.\n\nNeeds the admin token.",
    parameters: [{ in: "path", name: "name", required: true }],
    responses: {
      202: {
        description: "What happens",
        headers: { location: { description: "the job" } },
        content: { "text/event-stream": { schema: { type: "string" } } },
      },
    },
  });
  expect(Object.keys(described?.responses ?? {})).toEqual([
    "202",
    "400",
    "401",
    "403",
    "409",
    "413",
    "415",
    "421",
    "429",
    "500",
  ]);
});
