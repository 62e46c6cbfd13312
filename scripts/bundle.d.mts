export function scratchFolder(): string;
export function shake(
  input: string,
  folder: string,
  options?: { packages?: boolean },
): Promise<{ id: string; bytes: number }[]>;
export function pack(folder: string): Promise<Record<string, string>>;
