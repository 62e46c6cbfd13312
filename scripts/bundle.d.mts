import type { RolldownPluginOption } from 'rolldown';

export function shake(
  input: string,
  file: string,
  options?: { plugins?: RolldownPluginOption[]; packages?: boolean },
): Promise<{ id: string; bytes: number }[]>;
export function pack(file: string, options?: { minify?: boolean }): Promise<{ code: string; stray: string[] }>;
