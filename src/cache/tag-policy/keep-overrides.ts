import { Fault, isLocalFault } from "../../oci/fault.ts";
import type { Override } from "../../store/override-store.ts";
import { OrderRefused } from "./order-refused.ts";
import type { Overrides } from "./overrides.ts";

/**
 * Keeps overrides one after the other. If one cannot be kept, those after it are not either: they are in such an
 * order that what is served changes with the last one.
 *
 * @throws OrderRefused
 */
export async function keepOverrides(
  overrides: Pick<Overrides, "put">,
  puts: readonly Override[],
): Promise<void> {
  for (const override of puts) {
    try {
      await overrides.put(override);
    } catch (error) {
      if (!(error instanceof Fault) || !isLocalFault(error)) throw error;
      const reason = `the ${override.kind} of ${override.pattern} cannot be kept, and what is served stays as it is: ${error.message}`;
      const next = "mend that (entrepot doctor says what is wrong), and give the order again";
      throw new OrderRefused("not-kept", reason, next, { cause: error });
    }
  }
}
