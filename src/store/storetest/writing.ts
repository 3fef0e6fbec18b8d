import { expect } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestOf } from "../../oci/digest.ts";
import type { BlobStore, BlobWriter } from "../blob-store.ts";

/** Appends in chunks, by default of a prime size that divides no buffer evenly. */
export async function appendAll(
  writer: BlobWriter,
  bytes: Uint8Array,
  chunkSize = 10_007,
): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += chunkSize) {
    await writer.append(bytes.subarray(at, at + chunkSize));
  }
}

/** Stores a blob, and returns its digest. */
export async function storeBytes(store: BlobStore, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  const writer = await store.writer(digest);
  await appendAll(writer, bytes, 65_536);
  expect(writer.verify()).toBe(true);
  await writer.commit();
  return digest;
}

/** The error with which a promise rejects, for further assertions. */
export async function rejection(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("it was expected to reject, and did not");
}
