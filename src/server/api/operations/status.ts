import { type Status, statusSchema } from "../../../api/status.ts";
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
  ];
}
