import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { canonicalJson } from "./canonical-json.ts";

const YEAR_MS = 365 * 86_400_000;
const TARGET = "trusted_root.json";

interface Meta {
  readonly version: number;
  readonly length?: number;
  readonly hashes?: { readonly sha256: string };
}

/** A repository by The Update Framework with one target, trusted_root.json, as sigstore publishes its own. */
export class TufRepository implements Disposable {
  /** How many requests there were. */
  requests = 0;
  /** Whether it answers with errors alone. */
  isDown = false;
  readonly #keys = generateKeyPairSync("ed25519");
  readonly #server: Bun.Server<undefined>;
  #files = new Map<string, string>();
  #version = 0;

  constructor(target: string) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => this.#answer(new URL(request.url).pathname.slice(1)),
    });
    this.publish(target);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** The first root, which whoever uses it has to have. */
  get root(): string {
    return this.#files.get("1.root.json") ?? "";
  }

  /** @param validFor how long the metadata are, in milliseconds */
  publish(target: string, validFor = YEAR_MS): void {
    this.#version += 1;
    const version = this.#version;
    const [isFirst, root] = [version === 1, this.root];
    this.#files = new Map(isFirst ? [] : [["1.root.json", root]]);
    const { x = "" } = this.#keys.publicKey.export({ format: "jwk" });
    const key = {
      keytype: "ed25519",
      scheme: "ed25519",
      keyval: { public: Buffer.from(x, "base64url").toString("hex") },
    };
    const keyid = sha256(canonicalJson(key));
    const expires = new Date(Date.now() + validFor).toISOString().replace(/\.\d+Z$/, "Z");
    const write = (name: string, type: string, content: object): Meta => {
      const signed = { _type: type, spec_version: "1.0.31", version, expires, ...content };
      const sig = sign(undefined, Buffer.from(canonicalJson(signed)), this.#keys.privateKey);
      const text = JSON.stringify({ signed, signatures: [{ keyid, sig: sig.toString("hex") }] });
      this.#files.set(name, text);
      return { version, length: text.length, hashes: { sha256: sha256(text) } };
    };
    if (isFirst) {
      const role = { keyids: [keyid], threshold: 1 };
      const roles = { root: role, timestamp: role, snapshot: role, targets: role };
      write("1.root.json", "root", { consistent_snapshot: true, keys: { [keyid]: key }, roles });
    }
    const hash = sha256(target);
    this.#files.set(`targets/${hash}.${TARGET}`, target);
    const targets = {
      targets: { [TARGET]: { length: Buffer.byteLength(target), hashes: { sha256: hash } } },
    };
    const listed = write(`${version}.targets.json`, "targets", targets);
    const snapshot = { meta: { "targets.json": listed } };
    const snapped = write(`${version}.snapshot.json`, "snapshot", snapshot);
    write("timestamp.json", "timestamp", { meta: { "snapshot.json": snapped } });
  }

  /** Changes what is served as the target, and not what is signed of it. */
  replaceTarget(text: string): void {
    for (const name of this.#files.keys()) {
      if (name.startsWith("targets/")) this.#files.set(name, text);
    }
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }

  #answer(name: string): Response {
    this.requests += 1;
    if (this.isDown) return new Response("", { status: 503 });
    const text = this.#files.get(name);
    return text === undefined ? new Response("", { status: 404 }) : new Response(text);
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
