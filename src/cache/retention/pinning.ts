import { formatSize } from "../../config/parsing/units.ts";
import type { MetadataStore, Pin } from "../../store/metadata-store.ts";
import type { SidecarFiles } from "../../store/sidecars/sidecar-files.ts";
import type { DiskBudget } from "../../store/space/disk-budget.ts";
import type { PinnedBlobs } from "./pinned-blobs.ts";
import { RefusedError } from "./refused-error.ts";
import { requestedPattern } from "./requested-pattern.ts";

export interface PinningOptions {
  readonly metadata: Pick<MetadataStore, "pins">;
  readonly sidecars: Pick<SidecarFiles, "savePins">;
  readonly budget: Pick<DiskBudget, "limits">;
  readonly pinned: PinnedBlobs;
  /** Rejects with a Fault if nothing at all can be written or removed. */
  readonly mustBeWritable: () => Promise<void>;
}

export interface PinnedPattern extends Pin {
  /** How many images it matches now. */
  readonly images: number;
}

/** `os/architecture[/variant]`, as in an image index. */
const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/;
/** How many pins an error message lists. */
const MAX_LISTED = 20;

/** Pinning images, as operators do. */
export class Pinning {
  readonly #options: PinningOptions;

  constructor(options: PinningOptions) {
    this.#options = options;
  }

  async list(signal?: AbortSignal): Promise<PinnedPattern[]> {
    const { metadata, pinned } = this.#options;
    const pins = await metadata.pins.list();
    const { images } = await pinned.resolve(pins, signal);
    return pins.map((pin) => Object.assign({ images: images.get(pin.pattern) ?? 0 }, pin));
  }

  /**
   * Protects the images that a pattern matches from eviction, now and in future. It need not match
   * any yet.
   *
   * @param since when it was pinned, in milliseconds of the epoch
   * @throws RefusedError if the pattern or a platform is not valid, or if all pins together would
   *   exceed `storage.maxSize`
   */
  async pin(
    text: string,
    platforms: readonly string[] = [],
    since: number = Date.now(),
  ): Promise<PinnedPattern> {
    const { metadata, pinned, budget, sidecars, mustBeWritable } = this.#options;
    await mustBeWritable();
    const pattern = requestedPattern(text);
    const invalid = platforms.find((platform) => !PLATFORM.test(platform));
    if (invalid !== undefined) {
      const shown = JSON.stringify(invalid.slice(0, 100));
      throw new RefusedError(
        "invalid-argument",
        `${shown} is not a valid platform`,
        "write os/architecture, such as linux/amd64",
      );
    }
    const pin = { pattern: pattern.text, platforms, since };
    const others = (await metadata.pins.list()).filter(
      ({ pattern: other }) => other !== pin.pattern,
    );
    const resolved = await pinned.resolve([...others, pin]);
    const { maxSize } = budget.limits;
    if (resolved.bytes > maxSize) {
      const sizes = `${exactSize(resolved.bytes)}, but storage.maxSize is ${exactSize(maxSize)}`;
      throw new RefusedError(
        "over-max-size",
        `with ${pin.pattern}, all pins together would take ${sizes}`,
        "pin fewer images, limit the pin to some platforms, or raise storage.maxSize",
      );
    }
    await metadata.pins.put(pin);
    pinned.invalidate();
    await sidecars.savePins(await metadata.pins.list());
    return { ...pin, images: resolved.images.get(pin.pattern) ?? 0 };
  }

  /** @throws RefusedError if there is no such pin */
  async unpin(text: string): Promise<void> {
    const { metadata, pinned, sidecars, mustBeWritable } = this.#options;
    await mustBeWritable();
    const pattern = requestedPattern(text).text;
    if (!(await metadata.pins.remove(pattern))) {
      const pins = (await metadata.pins.list()).map((pin) => pin.pattern);
      const next = pins.length === 0 ? "nothing is pinned" : `name one of ${shortList(pins)}`;
      throw new RefusedError("no-match", `there is no pin ${pattern}`, next);
    }
    pinned.invalidate();
    await sidecars.savePins(await metadata.pins.list());
  }

  /** The pins, without what they match. */
  saved(): Promise<Pin[]> {
    return this.#options.metadata.pins.list();
  }
}

/** Rounded and in bytes: two sizes that round to the same value stay distinguishable. */
function exactSize(bytes: number): string {
  return `${formatSize(bytes)} (${bytes} bytes)`;
}

/** The first of many texts. */
function shortList(texts: readonly string[]): string {
  const more = texts.length - MAX_LISTED;
  return texts.slice(0, MAX_LISTED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
