import path from "node:path";
import type { Mount } from "../distribution/container/container.ts";
import { unresolvedIn } from "../distribution/container/unresolved.ts";
import type { ImportContext } from "../distribution/format.ts";
import type { Origin } from "../foreign/imported-config.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Task } from "./tasks.ts";
import type { Templates } from "./templates.ts";
import { isMapping } from "./variable-files.ts";

const MAX_BYTES = 1024 * 1024;
const MODULE = /^(?:ansible\.(?:builtin|legacy)\.)?(copy|template)$/;

/** What makes a registry a pull-through cache, in a Compose file, a unit or a config.yml. */
const REGISTRY = /^[^#\n]*(?:\bREGISTRY_PROXY_REMOTEURL\b|\bremoteurl["']?:)/m;

/** A text that a task writes to the machine. Its lines are counted from the one of its origin. */
export interface WrittenFile {
  readonly text: string;
  readonly from: Origin;
}

/** The files that `copy` and `template` write: registries mount their configurations from there. */
export class WrittenFiles {
  readonly #files = new Map<string, WrittenFile>();
  readonly #used = new Set<string>();
  readonly #context: ImportContext;
  readonly #templates: Templates;

  constructor(context: ImportContext, templates: Templates) {
    this.#context = context;
    this.#templates = templates;
  }

  add(task: Task): void {
    for (const [key, value] of Object.entries(task.values)) {
      const action = MODULE.exec(key)?.[1];
      const options = action === undefined ? undefined : this.#templates.render(value, task.scope);
      if (!isMapping(options)) continue;
      const { src, dest, content } = options;
      if (typeof dest !== "string" || unresolvedIn(dest) !== undefined) continue;
      const name = typeof src === "string" ? path.basename(src).replace(/\.j2$/, "") : "";
      const target = path.posix.normalize(dest.endsWith("/") ? path.join(dest, name) : dest);
      if (typeof content === "string") {
        const from = task.origin([key, "content"]);
        // A block begins in the line behind its key.
        const line = content.includes("\n") ? from.line : from.line - 1;
        this.#files.set(target, { text: content, from: { ...from, line } });
      } else if (typeof src === "string") {
        const file = this.#source(task, src, action === "template");
        if (file) this.#files.set(target, file);
      }
    }
  }

  at(file: string): WrittenFile | undefined {
    const target = path.posix.normalize(file);
    this.#used.add(target);
    return this.#files.get(target);
  }

  /** The files that describe a pull-through cache and that no task of a container refers to. */
  unused(): WrittenFile[] {
    return [...this.#files].flatMap(([target, file]) =>
      !this.#used.has(target) && REGISTRY.test(file.text) ? [file] : [],
    );
  }

  /** Replaces mounted folders and files by the texts that tasks write there. */
  mounted(mounts: readonly Mount[]): Mount[] {
    return mounts.flatMap((mount): Mount[] => {
      if (!("folder" in mount.source)) return [mount];
      const { folder } = mount.source;
      const inside = [...this.#files].filter(
        ([file]) => file === folder || file.startsWith(`${folder.replace(/\/$/, "")}/`),
      );
      for (const [file] of inside) this.#used.add(file);
      const texts = inside.map(([file, { text, from }]): Mount => ({
        source: { content: text, origin: from },
        target: path.posix.join(mount.target, path.posix.relative(folder, file)),
        from: mount.from,
      }));
      return inside.some(([file]) => file === folder) ? texts : [mount, ...texts];
    });
  }

  #source(task: Task, src: string, isTemplate: boolean): WrittenFile | undefined {
    const folders = [path.join(task.folder, isTemplate ? "templates" : "files"), task.folder];
    for (const folder of folders) {
      const file = path.isAbsolute(src) ? src : path.join(folder, src);
      try {
        const text = this.#context.readFile(file, MAX_BYTES);
        this.#context.imported.alsoRead(file);
        const rendered = isTemplate ? this.#templates.render(text, task.scope) : text;
        const from = { file, line: 0, column: 1, what: "" };
        return { text: typeof rendered === "string" ? rendered : text, from };
      } catch (error) {
        if (!(error instanceof UnreadableError)) throw error;
      }
    }
    return undefined;
  }
}
