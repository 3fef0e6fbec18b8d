export interface SuitePackages {
  readonly packages: readonly string[];
  /** Default: this machine's own. */
  readonly suite?: string;
  readonly architecture?: string;
}

export function ensureUnpacked(name: string, options: SuitePackages): Promise<string>;
