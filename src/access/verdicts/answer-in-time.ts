import { Fault } from "../../oci/fault.ts";
import type { Answer } from "./registry-question.ts";

/** How long a registry may take where what it said before still holds, in milliseconds. */
const PATIENCE_MS = 5000;

/** The answer; `undefined` if the registry fails or is slow, so that what it said before holds. The question goes on. */
export async function answerInTime(asking: Promise<Answer>): Promise<Answer | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), PATIENCE_MS);
  try {
    return await Promise.race([asking, late.promise]);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return undefined;
  } finally {
    clearTimeout(timer);
    asking.catch(() => {});
  }
}
