import { fileURLToPath } from "node:url";
import { z } from "zod";
import { mustRun, run } from "../test/harness/processes.ts";
import { cpuSeconds, family } from "./kernel.ts";

/** What containerd sends. */
const ACCEPT =
  "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

export interface SmallLoad {
  readonly requestsPerSecond: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** CPU of the server for one request, in microseconds. */
  readonly cpuMicroseconds: number;
}

/** As many requests as 32 connections can make. */
export async function smallLoad(url: string, pid: number, seconds: number): Promise<SmallLoad> {
  const pids = family(pid);
  const before = cpuSeconds(pids);
  const args = ["-t1", "-c32", `-d${seconds}s`, "--latency", "-H", `Accept: ${ACCEPT}`, url];
  const { code, stdout, stderr } = await run(["wrk", ...args]);
  const cpu = cpuSeconds(pids) - before;
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1];
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  if (code !== 0 || requests === 0) throw new Error(`wrk ${url}: ${stdout}${stderr}`);
  // A peer that refuses some under load is counted by what it answered.
  const answered = requests - Number(failed ?? 0);
  const rate = Number(/Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1] ?? 0);
  return {
    requestsPerSecond: (rate * answered) / requests,
    p50: latency(stdout, 50),
    p99: latency(stdout, 99),
    cpuMicroseconds: (cpu * 1e6) / requests,
  };
}

function latency(output: string, percentile: number): number {
  const match = new RegExp(`^\\s+${percentile}%\\s+([\\d.]+)(us|ms|s)$`, "m").exec(output);
  const unit = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? "ms"] ?? 1;
  return Number(match?.[1] ?? 0) * unit;
}

export interface Download {
  /** In milliseconds from its start: the first byte of the body, and the last. */
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
}

export interface Downloads {
  readonly each: readonly Download[];
  /** From the first start to the last end. */
  readonly seconds: number;
  /** CPU seconds of the server. */
  readonly cpu: number;
}

/** Clients at once, each a process that downloads the same `times` times and throws it away. */
export async function download(
  url: string,
  pid: number,
  { clients, times = 1 }: { clients: number; times?: number },
): Promise<Downloads> {
  const pids = family(pid);
  const before = cpuSeconds(pids);
  const started = performance.now();
  const one = ["-o", "/dev/null", url];
  const format = "%{http_code} %{time_starttransfer} %{time_total} %{size_download}\\n";
  const all = await Promise.all(
    Array.from({ length: clients }, () =>
      run([
        "curl",
        "-sS",
        "-k",
        "-H",
        `Accept: ${ACCEPT}`,
        "-w",
        format,
        ...Array.from({ length: times }, () => one).flat(),
      ]),
    ),
  );
  const seconds = (performance.now() - started) / 1000;
  const cpu = cpuSeconds(pids) - before;
  const each = all.flatMap(({ code, stdout, stderr }) => {
    if (code !== 0) throw new Error(`curl ${url} ended with ${code}: ${stdout}${stderr}`);
    return stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [status, first, last, bytes] = line.split(" ").map(Number);
        if (status !== 200) throw new Error(`${url} was answered ${status}`);
        return { first: (first ?? 0) * 1000, last: (last ?? 0) * 1000, bytes: bytes ?? 0 };
      });
  });
  return { each, seconds, cpu };
}

const CROWD = fileURLToPath(new URL("crowd.ts", import.meta.url));

/** Clients that begin at the same moment, each with one download of at least `size` bytes. */
export async function downloadAtOnce(
  url: string,
  pid: number,
  { clients, size }: { clients: number; size: number },
): Promise<Downloads> {
  const pids = family(pid);
  const before = cpuSeconds(pids);
  const output = await mustRun([process.execPath, CROWD, url, String(clients)]);
  const each = z.array(downloadForm).parse(JSON.parse(output));
  const cpu = cpuSeconds(pids) - before;
  // Chunked, a body comes with some bytes of its own.
  const short = each.find(({ bytes }) => bytes < size);
  if (short) throw new Error(`${url} ended after ${short.bytes} of ${size} bytes`);
  return { each, seconds: Math.max(...each.map(({ last }) => last)) / 1000, cpu };
}

const downloadForm = z.object({ first: z.number(), last: z.number(), bytes: z.number() });
