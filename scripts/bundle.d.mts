export function scratchFolder(): string;
export function shake(
  input: string,
  folder: string,
  options?: { packages?: boolean },
): Promise<{ id: string; bytes: number }[]>;
export function pack(folder: string, options?: { minify?: boolean }): Promise<Record<string, string>>;
