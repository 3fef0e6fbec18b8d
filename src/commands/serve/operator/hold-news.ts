import type { LostPart } from "../../../cache/tag-policy/hold-observer.ts";
import { lostText, type NoticedHold } from "../../../cache/tag-policy/noticed-holds.ts";
import { shortDigest } from "../../../cache/tag-policy/hold-text.ts";
import type { TellEvent } from "../../../events/event.ts";
import { imageName } from "../../../oci/image-reference.ts";
import type { Override } from "../../../store/override-store.ts";
import type { Log } from "../../../telemetry/log.ts";

export interface HoldNewsOptions {
  readonly tell: TellEvent;
  readonly log: Pick<Log, "warn" | "info">;
}

/** Tells of tags that are held, and of what operators decide of them: in the log, and by webhooks. */
export class HoldNews {
  readonly #tell: TellEvent;
  readonly #log: HoldNewsOptions["log"];

  constructor({ tell, log }: HoldNewsOptions) {
    this.#tell = tell;
    this.#log = log;
  }

  readonly held = ({ repo, tag, hold }: NoticedHold): void => {
    const subject = imageName({ ...repo, tag });
    const { digest, because, text, until } = hold;
    this.#log.warn({ image: subject, digest, because }, `held: ${text}`);
    const end = until === undefined || until === Infinity ? undefined : new Date(until);
    const data = {
      message: text,
      ...repo,
      tag,
      because,
      ...(digest === undefined ? {} : { digest }),
      ...(end ? { until: end.toISOString() } : {}),
    };
    this.#tell({ type: "tag.held", subject, data });
  };

  readonly lost = ({ repo, tag, hold }: NoticedHold, lost: LostPart): void => {
    const { image: digest, digest: missing } = lost;
    const subject = imageName({ ...repo, tag });
    this.#log.warn({ image: subject, digest, missing }, `held: ${hold.text}. ${lostText(lost)}`);
  };

  readonly released = ({ repo, tag }: NoticedHold, override: Override | undefined): void => {
    const subject = imageName({ ...repo, tag });
    const by = override && (override.ended ?? override).by;
    const message = `${subject} is served as its registry says again${by === undefined ? "" : `, by ${by}`}`;
    this.#log.info({ image: subject, by }, "no longer held");
    const data = { message, ...repo, tag, ...(by === undefined ? {} : { by }) };
    this.#tell({ type: "tag.released", subject, data });
  };

  /** An operator has decided something at this replica. */
  readonly ordered = (override: Override): void => {
    const { id, kind, pattern, digest, ended } = override;
    const { by, reason } = ended ?? override;
    const isEnded = ended !== undefined;
    const to = digest === undefined || pattern.includes("@") ? "" : ` (${shortDigest(digest)})`;
    const message = `${kind} of ${pattern}${to} ${isEnded ? "was ended" : "was ordered"} by ${by}: ${reason}`;
    this.#log.info(
      { id, kind, pattern, digest, by, reason },
      isEnded ? "override ended" : "override made",
    );
    const data = {
      message,
      id,
      kind,
      pattern,
      by,
      reason,
      ...(digest === undefined ? {} : { digest }),
    };
    this.#tell({ type: isEnded ? "override.ended" : "override.made", subject: pattern, data });
  };
}
