import type { WarmList } from "./warm-schema.ts";

/** What is wanted: the images that are to be here before anybody pulls them, or if a registry fails. */
export interface WantedSettings {
  /** Lists of images that are downloaded before anybody pulls them. Absent: none. */
  readonly warm?: readonly WarmList[];
  /** How long an image that was pulled counts as wanted, in milliseconds. */
  readonly pulledWithin: number;
}

/** In milliseconds: what runs each week counts. */
const PULLED_WITHIN = 7 * 86_400_000;

/** @param written what the file has, which was checked */
export function wantedSettings({
  warm,
  readiness,
}: {
  readonly warm?: readonly WarmList[] | null | undefined;
  readonly readiness?: { readonly pulledWithin?: number | undefined } | null | undefined;
}): WantedSettings {
  return {
    ...(warm ? { warm } : {}),
    pulledWithin: readiness?.pulledWithin ?? PULLED_WITHIN,
  };
}
