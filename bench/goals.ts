import type { Goal } from "./results.ts";

const herd = "cold herd, 20 at once";
const replicas = "cold herd, 20 at each of 3 replicas";
const oneEach = "cold herd, 1 at each of 3 replicas";
/** Bytes may be fetched once; what is more are the heads of responses. */
const ONCE = 1.005;
const [seven, gzipped, ranges, footer, second, fills] = [
  "7 layers of 286 MiB, 25 MB/s a connection",
  "5 gzipped layers of 148 MiB on a full line",
  "8 ranges of 64 MiB, cold, 10 MB/s a connection",
  "footer of an uncached 300 MiB blob",
  "second version with a shared base",
  "120 cold blobs of 6 MiB at once",
];
const [oneAt25, oneAt10] = [
  "one layer of 300 MiB, 25 MB/s a connection",
  "one layer of 300 MiB, 10 MB/s a connection",
];

/**
 * Entrepot's performance goals, most of them relative to another cache measured in the same run.
 */
export const GOALS: readonly Goal[] = [
  {
    workload: "256 MiB hit, 4 at once",
    figure: "GB/s",
    against: "nginx-static",
    atLeast: 0.95,
  },
  {
    workload: "256 MiB hit, 4 at once",
    figure: "CPU s per GB",
    against: "nginx-static",
    atMost: 1.5,
  },
  {
    workload: "256 MiB hit, 4 at once",
    figure: "CPU s per GB",
    against: "docker-registry",
    atMost: 0.3,
  },
  { workload: "10 KiB hit", figure: "requests/s", against: "nginx-static", atLeast: 0.5 },
  { workload: "10 KiB hit", figure: "requests/s", against: "docker-registry", atLeast: 30 },
  {
    workload: "manifest by fresh tag",
    figure: "requests/s",
    against: "docker-registry",
    atLeast: 60,
  },
  { workload: "manifest by fresh tag", figure: "p99 ms", atMost: 3 },
  {
    workload: "TLS: 256 MiB hit, 4 at once",
    figure: "GB/s",
    against: "nginx-static",
    atLeast: 0.95,
  },
  {
    workload: "TLS: 256 MiB hit, 4 at once",
    figure: "CPU s per GB",
    against: "nginx-static",
    atMost: 1.5,
  },
  { workload: "TLS: memory", figure: "peak MB", atMost: 150 },
  { workload: herd, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: herd, figure: "last byte over direct", atMost: 1.1 },
  { workload: herd, figure: "last follower's first byte after, ms", atMost: 60 },
  { workload: herd, figure: "peak MB", atMost: 150 },
  { workload: replicas, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: replicas, figure: "last byte s", against: "independent", atMost: 1.15 },
  { workload: oneEach, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: oneEach, figure: "last byte s", against: "independent", atMost: 0.8 },
  { workload: replicas, figure: "peak MB of a replica", atMost: 170 },
  {
    workload: "replica: 256 MiB hit, 4 at once",
    figure: "GB/s",
    against: "independent",
    atLeast: 0.97,
  },
  { workload: "replica: 10 KiB hit", figure: "requests/s", against: "independent", atLeast: 0.97 },
  { workload: "replica: start", figure: "first response ms", atMost: 250 },
  { workload: "40 layers, cold", figure: "seconds over direct", atMost: 0.8 },
  { workload: "40 layers, cold", figure: "peak MB", atMost: 150 },
  { workload: seven, figure: "seconds over direct", atMost: 0.65 },
  { workload: seven, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: seven, figure: "peak MB", atMost: 150 },
  { workload: oneAt25, figure: "seconds over direct", atMost: 0.45 },
  { workload: oneAt25, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: oneAt25, figure: "peak MB", atMost: 150 },
  { workload: oneAt10, figure: "seconds over direct", atMost: 0.25 },
  { workload: oneAt10, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: oneAt10, figure: "peak MB", atMost: 150 },
  { workload: gzipped, figure: "seconds over direct", atMost: 1 },
  { workload: gzipped, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: gzipped, figure: "peak MB", atMost: 150 },
  { workload: second, figure: "upstream bytes over needed", atMost: 1.01 },
  { workload: second, figure: "peak MB", atMost: 150 },
  { workload: "skopeo inspect", figure: "layer bytes fetched", atMost: 0 },
  { workload: ranges, figure: "seconds over direct", atMost: 1.3 },
  { workload: ranges, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: ranges, figure: "peak MB", atMost: 150 },
  { workload: footer, figure: "ms over direct", atMost: 2 },
  { workload: footer, figure: "peak MB", atMost: 150 },
  { workload: fills, figure: "upstream bytes over unique", atMost: ONCE },
  { workload: fills, figure: "peak MB", atMost: 150 },
  { workload: "start with 100,000 blobs", figure: "first response ms", atMost: 200 },
  {
    workload: "start with 100,000 blobs",
    figure: "first response ms",
    system: "executable",
    atMost: 200,
  },
  { workload: "memory of hits", figure: "peak MB", atMost: 150 },
  { workload: "soak", figure: "memory, last over first third", atMost: 1.1 },
  { workload: "soak", figure: "peak MB", atMost: 150 },
  { workload: "hits with a verdict: 10 KiB blob", figure: "CPU over open", atMost: 1.05 },
  { workload: "hits with a verdict: manifest", figure: "CPU over open", atMost: 1.05 },
  { workload: "hits by rules: held tag", figure: "CPU over open", atMost: 1.05 },
  { workload: "hits by rules: manifest", figure: "CPU over open", atMost: 1.05 },
  { workload: "hits by rules: 10 KiB blob", figure: "CPU over open", atMost: 1.05 },
  { workload: "first pull of a signed image", figure: "ms more than open", atMost: 30 },
  // What refers to the image, its manifest, its layer: each names the next one.
  {
    workload: "first pull of a signed image, 40 ms away",
    figure: "round trips over open",
    atMost: 3.5,
  },
  { workload: "hits during a fill", figure: "p99 filling over idle", atMost: 1.5 },
  { workload: "hits during a fill", figure: "peak MB", atMost: 150 },
  { workload: "hits beside 2000 misses", figure: "p99 ms, misses", atMost: 20 },
  { workload: "hits beside 2000 misses", figure: "max ms, misses", atMost: 100 },
  { workload: "10 KiB hits during an eviction", figure: "p99 evicting over idle", atMost: 2 },
  { workload: "16 MiB hits during an eviction", figure: "p99 evicting over idle", atMost: 2 },
];
