import { type Digest, parseDigest } from "../../oci/digest.ts";
import { momentText } from "./hold-text.ts";
import { OrderRefused } from "./order-refused.ts";
import type { StayAccount, TagAccount } from "./tag-accounts.ts";

type Known = Pick<TagAccount, "image" | "stays">;

/** Fewer digits are rather a mistake than a digest. */
const FEWEST_DIGITS = 6;

/**
 * What a tag pointed to at a moment, in milliseconds of the epoch.
 *
 * @throws OrderRefused
 */
export function stayAt({ image, stays }: Known, moment: number): StayAccount {
  const found = stays.find(({ firstSeen }) => firstSeen <= moment);
  if (found) return found;
  const earliest = stays.at(-1);
  const reason = `nothing is known of ${image} at ${momentText(moment)}`;
  const next = earliest
    ? `it was first seen at ${momentText(earliest.firstSeen)}: name a later moment, or a digest`
    : "name a digest";
  throw new OrderRefused("none", reason, next);
}

/**
 * The digest of a tag that somebody names, by as many digits as tell it from the others.
 *
 * @param isStored asked of a digest that the tag was never seen to have
 * @throws OrderRefused
 */
export async function digestSought(
  { image, stays }: Known,
  text: string,
  isStored: (digest: Digest) => Promise<boolean>,
): Promise<Digest> {
  const sought = text.trim().toLowerCase().replace(/…$/, "");
  const whole = parseDigest(sought) ?? parseDigest(`sha256:${sought}`);
  const digits = sought.replace(/^sha(?:256|512):/, "");
  const shown = JSON.stringify(text.slice(0, 200));
  const list = `entrepot history ${image} lists what it had`;
  if (!whole && !(/^[a-f0-9]+$/.test(digits) && digits.length >= FEWEST_DIGITS)) {
    const reason = `${shown} is not a digest`;
    const next = `write sha256: and at least ${FEWEST_DIGITS} of its digits; ${list}`;
    throw new OrderRefused("invalid", reason, next);
  }
  const known = [...new Set(stays.map(({ digest }) => digest))];
  const found = known.filter((digest) => digest.split(":")[1]?.startsWith(digits));
  const [only] = found;
  if (only && found.length === 1) return only;
  if (found.length > 1) {
    const reason = `${shown} is the beginning of ${found.length} digests of ${image}`;
    throw new OrderRefused("invalid", reason, `write more of its digits: ${found.join(", ")}`);
  }
  if (whole && (await isStored(whole))) return whole;
  throw new OrderRefused("none", `${image} was never seen to have ${shown}`, list);
}
