import { type DataPaths, PLACES } from "../cache/data-paths.ts";
import type { SystemFault } from "./system-faults.ts";

/** System calls that fail together, and the errors with which they may. */
interface CallFamily {
  readonly name: string;
  /** `?` before those that not every architecture has. */
  readonly calls: readonly string[];
  readonly errors: readonly string[];
  /** Of sockets: these calls have no path, and clients may get no answer. */
  readonly isNetwork?: true;
}

const FAMILIES: readonly CallFamily[] = [
  {
    name: "read",
    calls: ["read", "pread64", "readv", "preadv", "copy_file_range"],
    errors: ["EIO", "EINTR", "ENOMEM", "EACCES"],
  },
  { name: "sendfile", calls: ["sendfile"], errors: ["EIO", "EINTR", "ENOMEM", "EAGAIN"] },
  {
    name: "open",
    calls: ["?open", "openat"],
    errors: ["EIO", "EACCES", "EMFILE", "ENFILE", "ENOMEM", "EROFS", "ENOSPC", "EINTR"],
  },
  {
    name: "sync",
    calls: ["fsync", "fdatasync"],
    errors: ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"],
  },
  {
    name: "write",
    calls: ["write", "pwrite64", "writev", "pwritev"],
    errors: ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR", "ENOMEM"],
  },
  {
    name: "rename",
    calls: ["?rename", "renameat", "renameat2"],
    errors: ["EIO", "ENOSPC", "EACCES", "EROFS", "EDQUOT"],
  },
  { name: "unlink", calls: ["?unlink", "unlinkat"], errors: ["EIO", "EACCES", "EROFS"] },
  { name: "mkdir", calls: ["?mkdir", "mkdirat"], errors: ["EIO", "ENOSPC", "EACCES", "EROFS"] },
  {
    name: "stat",
    calls: ["?stat", "?lstat", "fstat", "?newfstatat", "statx"],
    errors: ["EIO", "EACCES", "ENOMEM"],
  },
  { name: "truncate", calls: ["ftruncate", "fallocate"], errors: ["EIO", "ENOSPC", "EROFS"] },
  { name: "list", calls: ["getdents64"], errors: ["EIO", "EACCES", "ENOMEM"] },
  { name: "statfs", calls: ["statfs", "fstatfs"], errors: ["EIO", "EACCES", "ENOMEM"] },
  {
    name: "connect",
    calls: ["socket", "connect"],
    errors: ["EMFILE", "ENOMEM", "EACCES"],
    isNetwork: true,
  },
  {
    name: "accept",
    calls: ["accept4"],
    errors: ["EMFILE", "ENOMEM", "EINTR", "EAGAIN"],
    isNetwork: true,
  },
  {
    name: "transfer",
    calls: ["recvfrom", "sendto", "recvmsg", "sendmsg"],
    errors: ["EIO", "ENOMEM", "EINTR", "EAGAIN"],
    isNetwork: true,
  },
];

/** Faults at the same files that were drawn, with a text that tells them apart. */
export interface RandomFaults {
  readonly text: string;
  readonly isNetwork: boolean;
  /** Whether reading stored blobs fails: then Bun closes the connection instead of sending a response. */
  readonly isOfBlobs: boolean;
  readonly faults: readonly [SystemFault, ...SystemFault[]];
}

/**
 * Draws one to three families of calls with an error or a delay for each, the files that they are about,
 * and which of the calls. Calls of sockets are about no files, and so they are on their own.
 */
export function randomFaults(random: () => number, paths: DataPaths): RandomFaults {
  const pick = <T>(all: readonly T[]): T => {
    const one = all[Math.floor(random() * all.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  };
  const isNetwork = random() < 0.12;
  const families = FAMILIES.filter((one) => (one.isNetwork === true) === isNetwork);
  const place = isNetwork ? undefined : pick(PLACES);
  const count = pick([1, 1, 2, 3]);
  const chosen = new Set(Array.from({ length: count }, () => pick(families)));
  const drawn = [...chosen].map((family) => {
    const isDelay = random() < 0.2;
    const error = isDelay ? undefined : pick(family.errors);
    const delay = isDelay ? 200 + Math.floor(random() * 1800) : undefined;
    const nth = 2 + Math.floor(random() * 8);
    const which = pick(["", "", "", "1", `${nth}`, `${nth}+`, `1+${nth}`]);
    const fault: SystemFault = {
      calls: family.calls,
      ...(place === undefined ? {} : { paths: paths.of(place) }),
      ...(error === undefined ? {} : { error }),
      ...(delay === undefined ? {} : { delay }),
      ...(which === "" ? {} : { when: which }),
    };
    const text = `${family.name} ${error ?? `${delay} ms`}${which === "" ? "" : ` (when ${which})`}`;
    return { text, fault };
  });
  const [first, ...more] = drawn.map(({ fault }) => fault);
  if (!first) throw new Error("unreachable");
  const at = place === undefined ? "" : ` at ${place}`;
  const isReading = [...chosen].some(({ name }) => name === "read" || name === "sendfile");
  return {
    text: `${drawn.map(({ text }) => text).join(", ")}${at}`,
    isNetwork,
    isOfBlobs: isReading && (place === "blobs" || place === "data"),
    faults: [first, ...more],
  };
}
