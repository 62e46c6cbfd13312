export function shake(
  input: string,
  file: string,
  options?: { packages?: boolean },
): Promise<{ id: string; bytes: number }[]>;
export function pack(file: string, options?: { minify?: boolean }): Promise<{ code: string; stray: string[] }>;
