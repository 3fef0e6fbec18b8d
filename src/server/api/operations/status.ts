import { z } from "zod";
import {
  downloadsSchema,
  type Status,
  statusSchema,
  upstreamSchema,
  upstreamsSchema,
} from "../../../api/status.ts";
import { ProblemError } from "../problem-details.ts";
import { operation, type Operation } from "../operation.ts";

export interface StatusParts {
  readonly status: () => Promise<Status>;
}

export function statusOperations({ status }: StatusParts): Operation[] {
  return [
    operation({
      id: "getStatus",
      method: "GET",
      path: "/status",
      tag: "status",
      summary: "What the cache does now, and what is wrong with it",
      right: "read",
      answer: statusSchema,
      handle: status,
    }),
    operation({
      id: "listDownloads",
      method: "GET",
      path: "/downloads",
      tag: "status",
      summary: "The downloads in progress",
      right: "read",
      answer: downloadsSchema,
      handle: async () => ({ items: (await status()).fills }),
    }),
    operation({
      id: "listUpstreams",
      method: "GET",
      path: "/upstreams",
      tag: "status",
      summary: "The registries that are cached, and how they are",
      right: "read",
      answer: upstreamsSchema,
      handle: async () => ({ items: (await status()).upstreams }),
    }),
    operation({
      id: "getUpstream",
      method: "GET",
      path: "/upstreams/{name}",
      tag: "status",
      summary: "One registry",
      right: "read",
      params: z.strictObject({ name: z.string().max(300) }),
      refusals: [404],
      answer: upstreamSchema,
      async handle({ params: { name } }) {
        const { upstreams } = await status();
        const found = upstreams.find((one) => one.name === name);
        if (found) return found;
        const names = upstreams.map((one) => one.name).join(", ");
        const detail = `${JSON.stringify(name)} is not a configured upstream`;
        throw new ProblemError({ status: 404, detail, next: `name one of ${names}` });
      },
    }),
  ];
}
