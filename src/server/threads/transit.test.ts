import { expect, test } from "bun:test";
import { type Place, Transit } from "./transit.ts";

test("a chunk takes a place until it is taken, and none that is too large gets one", () => {
  const main = new Transit();
  const worker = new Transit(main.memory);
  const chunk = (fill: number) => new Uint8Array(100_000 + fill).fill(fill);
  const places: Place[] = [];
  for (let fill = 1; ; fill += 1) {
    const place = main.put(chunk(fill));
    if (!place) break;
    places.push(place);
  }
  expect(places.length).toBeGreaterThan(1);
  for (const [index, place] of places.entries()) {
    expect(worker.take(place)).toEqual(chunk(index + 1));
    // What was taken stays as it was when its place is used again.
    expect(main.put(chunk(index + 101))?.place).toBe(place.place);
  }
  expect(main.put(new Uint8Array(1024 * 1024))).toBeUndefined();
  for (const place of places) worker.release(place);
  expect(main.put(new Uint8Array(1024 * 1024))).toBeUndefined();
  expect(main.put(new Uint8Array(0))).toMatchObject({ length: 0 });
});
