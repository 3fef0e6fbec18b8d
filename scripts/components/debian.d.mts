export type ContainerdLine = "1.6" | "1.7" | "2.1";

export const packages: Readonly<Record<string, string>>;
export const postgresBin: string;
export const benchPackages: Readonly<Record<string, string>>;
export function missingPackages(wanted?: Readonly<Record<string, string>>): string[];
export function unavailableReason(): string | undefined;
export function ensureDebianPackages(wanted?: Readonly<Record<string, string>>): Promise<{
  available: boolean;
  reason: string | undefined;
}>;
export function ensureContainerd(line: ContainerdLine): Promise<{ bin: string; version: string }>;
export function ensureBusybox(): Promise<string>;
