import { dlopen, FFIType, ptr } from "bun:ffi";

const F_SETFD = 2;
/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST_PASSED = 3;

const { i32, pointer } = FFIType;

/**
 * Replaces the running program by another in the same process (execve(2)), with the descriptors
 * that were passed to it.
 *
 * @throws Error if that is not possible
 */
export function replaceProgram(
  args: readonly [string, ...string[]],
  env: Readonly<Record<string, string | undefined>>,
): void {
  const passed = passedDescriptors(args, env);
  // Faster, since there is nothing to load, but it closes every descriptor above 2.
  if (passed.length === 0) process.execve?.(args[0], args, env);
  const c = dlopen("libc.so.6", {
    execve: { args: [pointer, pointer, pointer], returns: i32 },
    // A variadic function; the third argument is an int here.
    fcntl: { args: [i32, i32, i32], returns: i32 },
  }).symbols;
  const strings = args.map(cString);
  const [program] = strings;
  if (program === undefined) return;
  const variables = Object.entries(env).map(([name, value]) => cString(`${name}=${value ?? ""}`));
  for (const descriptor of passed) c.fcntl(descriptor, F_SETFD, 0);
  c.execve(ptr(program), ptr(pointers(strings)), ptr(pointers(variables)));
}

/** The sockets of systemd, and what a shell passes for `--config <(…)`. */
function passedDescriptors(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): readonly number[] {
  const sockets = Array.from(
    { length: Number(env["LISTEN_FDS"] ?? 0) },
    (_, i) => FIRST_PASSED + i,
  );
  const files = args.flatMap((arg) => /\/(?:dev|proc\/self)\/fd\/(\d+)$/.exec(arg)?.[1] ?? []);
  return [...sockets, ...files.map(Number)];
}

function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

/** An array of pointers that ends with NULL, as `argv` and `envp` are. */
function pointers(strings: readonly Buffer[]): BigUint64Array {
  return BigUint64Array.from([...strings.map((each) => BigInt(ptr(each))), 0n]);
}
