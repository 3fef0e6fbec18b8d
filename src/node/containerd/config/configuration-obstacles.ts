import type { Obstacle } from "../../plan.ts";
import type { Traits } from "../traits.ts";
import type { Configuration } from "./configuration.ts";
import { keyText } from "./key-case.ts";

/** Defects of config.toml and its imports with which no edit of them can be proved. */
export function configurationObstacles(configuration: Configuration, traits: Traits): Obstacle[] {
  return configuration.defects.flatMap((defect): Obstacle[] => {
    switch (defect.kind) {
      case "syntax": {
        const { file, line, column, message } = defect;
        const advice = "fix the syntax first: containerd would not start";
        return [{ code: "config-syntax", at: { file, line, column }, what: message, advice }];
      }
      case "encoding": {
        const what = `it contains ${defect.what}, with which containerd 2.x does not start`;
        const at = { file: defect.file, line: defect.line };
        const advice = "save it as UTF-8 without a byte order mark first";
        return [{ code: "config-encoding", at, what, advice }];
      }
      case "import-missing": {
        const what = `it imports ${defect.target}, which does not exist: containerd will not start`;
        const at = { file: defect.file, line: defect.line };
        const advice = "create the file, or remove it from imports";
        return [{ code: "config-import-missing", at, what, advice }];
      }
      case "version-too-new": {
        const what = `version = ${defect.version} is newer than this containerd supports`;
        const advice = "use a version that this containerd supports (2 works with all from 1.6 on)";
        const at = { file: defect.file, line: defect.line };
        return [{ code: "config-version-too-new", at, what, advice }];
      }
      case "cri-disabled": {
        const what = `disabled_plugins contains ${defect.plugin}: containerd runs without CRI, so that no pull can prove the wiring`;
        const at = { file: defect.file, line: defect.line };
        const advice = "remove it from the list and restart containerd, if pods are to run here";
        return [{ code: "config-cri-disabled", at, what, advice }];
      }
      case "import-too-new": {
        // 2.0 to 2.2 start, and lose settings with which the wiring has nothing to do.
        if (!traits.exitsOnNewerImport) return [];
        const what = `it has version = ${defect.version} and is imported by a file of version ${defect.root}: containerd will not start`;
        const at = { file: defect.file, line: defect.line };
        const advice = `use version = ${defect.root} with that version's table names, or omit version`;
        return [{ code: "config-import-too-new", at, what, advice }];
      }
      case "key-case": {
        // Of a key that is written in two cases, only one counts: what an edit adds might not be it.
        if (!defect.isRead || defect.documented[0] !== "plugins") return [];
        const what = `containerd reads the key ${keyText(defect.path)}, in another case than ${keyText(defect.documented)}`;
        const at = { file: defect.file, line: defect.line };
        const advice = `write ${keyText(defect.documented)}, then plan again`;
        return [{ code: "config-key-case", at, what, advice }];
      }
      case "table-replaced":
      case "table-ignored":
        return [];
    }
  });
}

/** Keys that this containerd ignores because of their case, and that a newer one will read. */
export function keyCaseNotes({ defects }: Configuration, traits: Traits): string[] {
  if (traits.foldsKeys) return [];
  return defects.flatMap((defect) => {
    if (defect.kind !== "key-case" || defect.isRead) return [];
    const at = `${defect.file}:${defect.line}`;
    return [
      `the key ${keyText(defect.path)} (${at}) is ignored, and containerd 2.x reads it: remove it before an update`,
    ];
  });
}
