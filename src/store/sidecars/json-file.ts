import { readFile } from "node:fs/promises";
import { storageFault, systemCode } from "../storage-fault.ts";

/**
 * What a file says; `undefined` if there is none, or it is not JSON.
 *
 * @throws Fault of kind `storage` if it cannot be read
 */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw storageFault(`read ${path}`, cause);
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
