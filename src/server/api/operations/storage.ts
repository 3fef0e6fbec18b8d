import { storageSchema } from "../../../api/storage.ts";
import type { StoreAdmin } from "../../../cache/retention/store-admin.ts";
import { operation, type Operation } from "../operation.ts";

export interface StorageParts {
  readonly admin: Pick<StoreAdmin, "figures">;
  readonly dataDirectory: string;
  readonly version: string;
}

export function storageOperations({ admin, dataDirectory, version }: StorageParts): Operation[] {
  return [
    operation({
      id: "getStorage",
      method: "GET",
      path: "/storage",
      tag: "status",
      summary: "What the store holds, and may hold",
      right: "read",
      answer: storageSchema,
      handle: async () => ({ version, dataDirectory, ...(await admin.figures()) }),
    }),
  ];
}
