import type { ClientsSettings } from "../../config/access/clients-settings.ts";
import { loadSettings } from "../../config/load.ts";
import { UnreadableError } from "../../config/parsing/read-text.ts";
import type { PresentedCredentials } from "../authorization.ts";

/** The settings of `clients`, as they are written in YAML, for the registry ghcr.io. */
export function clientsOf(yaml: string, files: Record<string, string> = {}): ClientsSettings {
  const text = `listen: 127.0.0.1:5000\nclients:\n${yaml}\nupstreams: { ghcr.io: { access: clients } }\n`;
  const { clients } = loadSettings({
    flags: { config: "/etc/e.yaml" },
    readFile: (path) => {
      const found = path === "/etc/e.yaml" ? text : files[path];
      if (found === undefined) throw new UnreadableError("does not exist");
      return found;
    },
  });
  if (!clients) throw new Error("there are no clients");
  return clients;
}

export function basic(username: string, password: string): PresentedCredentials {
  return { scheme: "basic", username, password };
}

export function bearer(token: string): PresentedCredentials {
  return { scheme: "bearer", token };
}

export const HERE = { address: "10.0.0.1" };
