export interface AptSource {
  uris: string[];
  suites: string[];
  components: string[];
  options: [name: string, value: string][];
}

export function sourceFor(suite: string, etc?: string): string;
export function readSources(aptDir: string): AptSource[];
export function parseOneLine(text: string): AptSource[];
export function parseDeb822(text: string): AptSource[];

/** The suite of this machine, such as `bookworm`. */
export function ownSuite(): string;
