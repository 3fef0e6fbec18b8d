import { z } from "zod";
import { operation, type Operation } from "../operation.ts";

/** @param all every operation, these included */
export function documentOperations(version: string, all: () => readonly Operation[]): Operation[] {
  return [
    operation({
      id: "getDocument",
      method: "GET",
      path: "/openapi.json",
      tag: "document",
      summary: "The description of this API, as OpenAPI 3.1",
      right: "read",
      answer: z.looseObject({ openapi: z.string() }).meta({ id: "OpenApiDocument" }),
      async handle() {
        // What makes the document is in memory only where somebody reads it.
        const { describeApi } = await import("../document.ts");
        return { ...describeApi(all(), version) };
      },
    }),
  ];
}
