import { fileURLToPath } from "node:url";
import { startProcess } from "../test/harness/processes.ts";
import type { LinkShape } from "./link.ts";

export interface ShapedLink extends AsyncDisposable {
  readonly url: string;
  /** Bytes that have arrived at clients since the start, with the heads of responses. */
  delivered(): Promise<number>;
}

/** Starts a proxy to a server on this machine that simulates a network link (see shaper.ts). */
export async function startShaper(port: number, shape: LinkShape): Promise<ShapedLink> {
  let listening = 0;
  let asked = Promise.withResolvers<number>();
  const program = fileURLToPath(new URL("shaper.ts", import.meta.url));
  const child = await startProcess({
    name: "the shaper",
    command: [process.execPath, program, String(port), JSON.stringify(shape)],
    onLine: (line) => {
      const [, name, figure] = /^(port|delivered) (\d+)$/.exec(line) ?? [];
      if (name === "port") listening = Number(figure);
      if (name === "delivered") asked.resolve(Number(figure));
    },
    ready: () => listening > 0,
  });
  return {
    url: `http://127.0.0.1:${listening}`,
    delivered() {
      asked = Promise.withResolvers();
      child.signal("SIGUSR2");
      return asked.promise;
    },
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
    },
  };
}
