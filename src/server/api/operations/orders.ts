import type { PinnedPattern } from "../../../cache/retention/pinning.ts";
import type { Purged } from "../../../cache/retention/purge-images.ts";
import type { ReplicaReach } from "../../../api/replicas.ts";
import { RefusedError } from "../../../cache/retention/refused-error.ts";
import { requestedPattern } from "../../../cache/retention/requested-pattern.ts";
import type { StoreAdmin } from "../../../cache/retention/store-admin.ts";

export interface ReplicaOrder {
  /** `preview`: what a purge would remove; nothing is done. */
  readonly kind: "pin" | "unpin" | "purge" | "preview";
  /** Complete, as in `ImagePattern`. */
  readonly pattern: string;
  /** Of a pin. */
  readonly platforms: readonly string[];
}

export type TellReplicas = (order: ReplicaOrder) => Promise<ReplicaReach>;

interface Reached {
  /** Absent where there are no other replicas. */
  readonly replicas?: ReplicaReach;
}

export interface PreparedPurge {
  readonly names: AsyncGenerator<string>;
  readonly run: () => Promise<Purged & Reached>;
}

export interface OrdersOptions {
  readonly admin: Pick<StoreAdmin, "pinning" | "purge">;
  readonly tellReplicas?: TellReplicas | undefined;
}

/** What an operator asks of one replica, and all have to do: it is done here, and then told to the others. */
export class Orders {
  readonly #admin: OrdersOptions["admin"];
  readonly #tellReplicas: TellReplicas | undefined;

  constructor({ admin, tellReplicas }: OrdersOptions) {
    this.#admin = admin;
    this.#tellReplicas = tellReplicas;
  }

  /** @throws RefusedError */
  async pin(text: string, platforms: readonly string[]): Promise<PinnedPattern & Reached> {
    const pin = await this.#admin.pinning.pin(text, platforms);
    return { ...pin, ...(await this.#tell("pin", pin.pattern, platforms)) };
  }

  /** @throws RefusedError */
  async unpin(text: string): Promise<Reached> {
    await this.#admin.pinning.unpin(text);
    return this.#tell("unpin", requestedPattern(text).text);
  }

  /**
   * @returns the images that match here, until `run` removes them and says what came of it
   * @throws RefusedError
   */
  async purge(text: string, isDryRun: boolean, signal: AbortSignal): Promise<PreparedPurge> {
    const pattern = requestedPattern(text).text;
    try {
      const purge = await this.#admin.purge(pattern, { signal, dryRun: isDryRun });
      const run = async (): Promise<Purged & Reached> => {
        const purged = await purge.run(isDryRun);
        return { ...purged, ...(await this.#tell(isDryRun ? "preview" : "purge", pattern)) };
      };
      return { names: purge.names(), run };
    } catch (error) {
      const isMissing = error instanceof RefusedError && error.kind === "no-match";
      if (!isMissing || !this.#tellReplicas) throw error;
      return this.#purgeElsewhere(isDryRun ? "preview" : "purge", pattern, error);
    }
  }

  /** What no image matches here may be at another replica, or at one that hears of it later. */
  async #purgeElsewhere(
    kind: "purge" | "preview",
    pattern: string,
    unmatched: RefusedError,
  ): Promise<PreparedPurge> {
    const { replicas } = await this.#tell(kind, pattern);
    const isNowhere = replicas?.images === 0 && replicas.reached === replicas.of;
    if (isNowhere || replicas?.ledger === "none") throw unmatched;
    const run = async (): Promise<Purged & Reached> => {
      return { blobs: 0, bytes: 0, shared: 0, busy: 0, ...(replicas && { replicas }) };
    };
    return { names: none(), run };
  }

  async #tell(
    kind: ReplicaOrder["kind"],
    pattern: string,
    platforms: readonly string[] = [],
  ): Promise<Reached> {
    const replicas = await this.#tellReplicas?.({ kind, pattern, platforms });
    return replicas ? { replicas } : {};
  }
}

async function* none(): AsyncGenerator<string> {}
