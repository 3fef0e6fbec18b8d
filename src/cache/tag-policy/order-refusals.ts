import type { Digest } from "../../oci/digest.ts";
import { imageName, type ImageReference } from "../../oci/image-reference.ts";
import type { Override } from "../../store/override-store.ts";
import { momentText } from "./hold-text.ts";
import { OrderRefused } from "./order-refused.ts";
import { isActive } from "./overrides.ts";
import type { TagAccount } from "./tag-accounts.ts";

export function endsAnOverride({ image }: TagAccount, [fixing]: readonly Override[]): OrderRefused {
  const reason = `to release ${image} is to end its ${fixing?.kind ?? "hold"} by ${fixing?.by ?? "somebody"}, and an end has no end`;
  return new OrderRefused("invalid", reason, "leave out --until");
}

export function isFrozen({ image, overrides }: TagAccount, now: number): OrderRefused {
  const freeze = overrides.find((one) => one.kind === "freeze" && isActive(one, now));
  const reason = `${image} is frozen by ${freeze?.by ?? "somebody"} (${freeze?.reason ?? "no reason"})`;
  const pattern = freeze ? ` '${freeze.pattern}'` : "";
  const next = `entrepot unfreeze${pattern} ends that, or entrepot rollback ${image} --to DIGEST gives this tag another digest`;
  return new OrderRefused("conflict", reason, next);
}

export function isBoth(image: ImageReference, digest: Digest): OrderRefused {
  const { tag: _tag, ...byDigest } = image;
  const { digest: _digest, ...byTag } = image;
  const next = `entrepot hold ${imageName(byTag)} keeps the tag where it is, entrepot rollback ${imageName(byTag)} --to ${digest} gives it this digest, and entrepot hold ${imageName(byDigest)} gives this digest to nobody`;
  return new OrderRefused("invalid", "the image has a tag and a digest", next);
}

export function isCurrent({ image, stays }: TagAccount, to: string | number): OrderRefused {
  const when = typeof to === "number" ? `at ${momentText(to)} already` : "by its registry";
  const reason = `${image} has ${stays[0]?.digest ?? "this digest"} ${when}`;
  const next = `entrepot hold ${image} keeps what is served, and entrepot release ${image} serves what its registry says`;
  return new OrderRefused("conflict", reason, next);
}

const LIST = "entrepot overrides lists them";

export function isUnknown(id: string): OrderRefused {
  const reason = `there is no override ${JSON.stringify(id.slice(0, 100))}`;
  return new OrderRefused("none", reason, LIST);
}

export function hasEnded({ kind, pattern }: Override): OrderRefused {
  return new OrderRefused("conflict", `the ${kind} of ${pattern} has ended already`, LIST);
}

export function isFuture(moment: number): OrderRefused {
  const reason = `${momentText(moment)} is in the future`;
  return new OrderRefused("invalid", reason, "name a moment that is over");
}

export function endsBefore(until: number): OrderRefused {
  const reason = `it would have ended at ${momentText(until)} already`;
  return new OrderRefused("invalid", reason, "name a later end, or none");
}

export function isNotServed({ image }: TagAccount): OrderRefused {
  const next = `entrepot release ${image} serves it, and entrepot rollback ${image} --to DIGEST gives it another digest`;
  return new OrderRefused("conflict", `${image} is not served now, so it cannot stay so`, next);
}
