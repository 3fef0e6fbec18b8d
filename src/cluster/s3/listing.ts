import { textOf } from "../../upstream/cloud/aws/xml-text.ts";
import { elementsOf } from "./xml.ts";

export interface ListedKey {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** In milliseconds of the epoch. */
  readonly storedAt: number;
}

export interface ListedPage {
  readonly entries: readonly ListedKey[];
  readonly isTruncated: boolean;
}

/** Reads a page of ListObjectsV2; `undefined` if it is something else. */
export function readPage(xml: string): ListedPage | undefined {
  if (!xml.includes("<ListBucketResult")) return undefined;
  const entries = elementsOf(xml, "Contents").flatMap((content) => {
    const key = textOf(content, "Key");
    const size = Number(textOf(content, "Size"));
    const storedAt = Date.parse(textOf(content, "LastModified") ?? "");
    const isValid = key !== undefined && Number.isSafeInteger(size) && !Number.isNaN(storedAt);
    return isValid ? [{ key, size, storedAt }] : [];
  });
  return { entries, isTruncated: textOf(xml, "IsTruncated") === "true" };
}
