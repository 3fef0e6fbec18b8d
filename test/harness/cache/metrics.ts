import type { Entrepot } from "./entrepot.ts";

/** The value of a metric without labels; 0 if the cache has none of that name. */
export async function metric(cache: Entrepot, name: string): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? 0);
}
