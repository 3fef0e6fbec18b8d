import { z } from "zod";
import { heldSchema, tagHistorySchema } from "../../../api/tag-history.ts";
import type { NoticedHolds } from "../../../cache/tag-policy/noticed-holds.ts";
import type { TagAccount, TagAccounts } from "../../../cache/tag-policy/tag-accounts.ts";
import type { Hold } from "../../../cache/tag-policy/tag-policy.ts";
import type { VerifyRule } from "../../../config/policies/policy-settings.ts";
import { imageName, parseImageReference } from "../../../oci/image-reference.ts";
import type { ListedVerification, VerificationStore } from "../../../store/verification-store.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";
import { itemOf } from "./overrides.ts";

export interface TagHistoryParts {
  readonly accounts: Pick<TagAccounts, "of">;
  readonly held: Pick<NoticedHolds, "current">;
  readonly verifications: Pick<VerificationStore, "failed">;
  /** Those of the rules by which signatures are asked for. */
  readonly verifyRules: () => readonly VerifyRule[];
}

/** How many digests whose signatures fail are listed. */
export const MAX_FAILED = 500;

/** What tags were, and what is held of them. */
export function tagHistoryOperations(parts: TagHistoryParts): Operation[] {
  const { accounts, held } = parts;
  return [
    operation({
      id: "getTagHistory",
      method: "GET",
      path: "/tag-history",
      tag: "history",
      summary: "What a tag was, what is served of it, and why",
      description:
        "As far as its registry was asked through this cache or another replica. Nothing is fetched for it.",
      right: "read",
      query: z.strictObject({
        image: z.string().max(700).describe("`docker.io/library/nginx:1.27`, or `nginx:1.27`"),
      }),
      answer: tagHistorySchema,
      refusals: [400],
      async handle({ query, concealment }) {
        const asked = parseImageReference(query.image);
        if (!asked)
          throw problem(
            query.image,
            "is not the name of an image",
            "write it as docker.io/library/nginx:1.27",
          );
        const { tag, digest: _digest, ...repo } = asked;
        if (tag === undefined) {
          throw problem(
            query.image,
            "names an image by digest, which never changes",
            "name it by a tag",
          );
        }
        const image = imageName({ ...repo, tag });
        const unknown = { image, stays: [], overrides: [] };
        if (await concealment?.isPrivate(repo)) return unknown;
        const account = await accounts.of(repo, tag, Date.now());
        // What concerns any image must not tell those that there are not from those that are hidden.
        return concealment && account.stays.length === 0 ? unknown : historyOf(account);
      },
    }),
    operation({
      id: "listHeld",
      method: "GET",
      path: "/held",
      tag: "history",
      summary:
        "The tags that are not served as their registries say, and the digests whose signatures fail",
      description:
        "Of the tags that clients have asked for since the cache was started, or in the day before, the latest 2,000; of the digests, the latest 500.",
      right: "read",
      answer: heldSchema,
      async handle() {
        const rules = new Map(parts.verifyRules().map((rule) => [rule.revision, rule]));
        const failed = await parts.verifications.failed([...rules.keys()], MAX_FAILED);
        return {
          tags: (await held.current()).flatMap(heldOf),
          unverified: failed.flatMap((one) => unverifiedOf(one, rules.get(one.revision))),
        };
      },
    }),
  ];
}

function historyOf({ image, stays, served, hold, overrides }: TagAccount) {
  const [current] = stays;
  return {
    image,
    ...(current ? { digest: current.digest } : {}),
    ...(served === undefined ? {} : { served }),
    ...(hold ? { hold: toldOf(hold) } : {}),
    stays,
    overrides: overrides.map(itemOf),
  };
}

function heldOf({ image, served, hold }: TagAccount) {
  if (!hold) return [];
  return [{ image, hold: toldOf(hold), ...(served === undefined ? {} : { served }) }];
}

function toldOf({ because, text, digest, until }: Hold) {
  return {
    because,
    text,
    ...(digest === undefined ? {} : { digest }),
    ...(until === undefined || until === Infinity ? {} : { until }),
  };
}

function unverifiedOf(
  { repo, digest, detail, verifiedAt }: ListedVerification,
  rule: VerifyRule | undefined,
) {
  if (!rule || rule.mode === "off") return [];
  return [{ image: imageName({ ...repo, digest }), mode: rule.mode, detail, verifiedAt }];
}

function problem(image: string, what: string, next: string): ProblemError {
  const detail = `${JSON.stringify(image.slice(0, 200))} ${what}`;
  return new ProblemError({ status: 400, detail, next });
}
