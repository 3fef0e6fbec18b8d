import path from "node:path";
import { mark } from "../distribution/container/unresolved.ts";

/** What a unit's name and place say: the values of its specifiers. */
export interface UnitIdentity {
  /** The name of the service, `registry@ghcr` for registry@ghcr.container and registry@ghcr.service. */
  readonly name: string;
  /** Undefined for a template, and for a unit that is no instance of one. */
  readonly instance: string | undefined;
  readonly isTemplate: boolean;
  /** The home directory of the user whose service manager runs the unit. */
  readonly home: string;
  /** Whether it belongs to the service manager of a user, whose other directories are not known. */
  readonly isUser: boolean;
}

/** @param home the home directory of the user who imports */
export function identityOf(file: string, home: string): UnitIdentity {
  const full = path.basename(file);
  const name = full.replace(/\.[^.]*$/, "");
  const at = name.indexOf("@");
  const isUser = /(?:^|\/)\.config\/|\/containers\/systemd\/users\/|\/systemd\/user\//.test(
    path.resolve(file),
  );
  return {
    name,
    instance: at < 0 || at === name.length - 1 ? undefined : name.slice(at + 1),
    isTemplate: at >= 0 && at === name.length - 1,
    home: isUser ? home : "/root",
    isUser,
  };
}

/** The specifiers of systemd.unit(5) whose values are the same on every machine. */
const SYSTEM_FOLDERS: Readonly<Record<string, string>> = {
  t: "/run",
  S: "/var/lib",
  C: "/var/cache",
  L: "/var/log",
  E: "/etc",
  T: "/tmp",
  V: "/var/tmp",
  u: "root",
  U: "0",
  g: "root",
  G: "0",
};

/** Expands `%i`, `%h` and the like. Those that only the machine knows are marked as unresolved. */
export function expandSpecifiers(text: string, unit: UnitIdentity): string {
  return text.replaceAll(/%(.)/gsu, (written, specifier: string) => {
    const value = valueOf(specifier, unit);
    return value ?? mark(written);
  });
}

function valueOf(specifier: string, unit: UnitIdentity): string | undefined {
  const { name, instance, home, isUser } = unit;
  const prefix = name.replace(/@.*$/s, "");
  switch (specifier) {
    case "%":
      return "%";
    case "n":
      return `${name}.service`;
    case "N":
      return name;
    case "p":
      return prefix;
    case "P":
      return unescapeName(prefix);
    case "j":
      return prefix.slice(prefix.lastIndexOf("-") + 1);
    case "J":
      return unescapeName(prefix.slice(prefix.lastIndexOf("-") + 1));
    case "i":
      return instance;
    case "I":
      return instance && unescapeName(instance);
    case "h":
      return home;
    default:
      return isUser ? undefined : SYSTEM_FOLDERS[specifier];
  }
}

/** Undoes the escapes of systemd-escape(1). */
function unescapeName(name: string): string {
  return name
    .replaceAll("-", "/")
    .replaceAll(/\\x([\da-f]{2})/gi, (_, code: string) =>
      String.fromCodePoint(Number.parseInt(code, 16)),
    );
}
