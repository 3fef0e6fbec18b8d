import { statusSchema } from "../../../src/api/status.ts";
import type { Entrepot } from "./entrepot.ts";

/** What `status` says is wrong. */
export async function problems(cache: Entrepot): Promise<string[]> {
  const status = await (await cache.getAdmin("/api/v1/status")).json();
  return statusSchema.parse(status).problems;
}
