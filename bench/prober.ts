// A client that asks now and then, and tells how long it waited: `bun prober.ts <url> <seconds>`. In
// a process of its own, so that nothing else keeps it from looking at the clock.
const [url = "", seconds = "1"] = process.argv.slice(2);
const end = performance.now() + Number(seconds) * 1000;
const waits: number[] = [];

async function ask(): Promise<void> {
  while (performance.now() < end) {
    const started = performance.now();
    const response = await fetch(url);
    await response.arrayBuffer();
    waits.push(performance.now() - started);
    if (response.status !== 200) throw new Error(`${url} was answered ${response.status}`);
    await Bun.sleep(4);
  }
}

// With something exported, it is a module, which may wait at its top.
export const done = true;

await Promise.all([ask(), ask(), ask(), ask()]);
waits.sort((a, b) => a - b);
const at = (part: number): number => waits[Math.floor(waits.length * part)] ?? NaN;
console.log(JSON.stringify({ count: waits.length, p50: at(0.5), p99: at(0.99) }));
