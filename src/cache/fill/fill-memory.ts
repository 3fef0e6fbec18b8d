import { BufferPool } from "../../process/buffer-pool.ts";
import { RecentBlocks } from "./read-cache.ts";
import { TAIL_BLOCK_BYTES } from "./tail-buffer.ts";

/** What all fills have in memory together. */
export class FillMemory {
  /** What was read from their files. */
  readonly recentBlocks: RecentBlocks = new RecentBlocks();
  /** For their latest bytes. */
  readonly tails: BufferPool = new BufferPool(TAIL_BLOCK_BYTES);
}
