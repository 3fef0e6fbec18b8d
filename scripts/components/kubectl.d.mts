export interface Kubectl {
  readonly helm: string;
  readonly kubectl: string;
}

export function ensureKubectl(): Promise<Kubectl>;
