type Version = Readonly<{ id: string; version: number; formerDefault: number }>;

export function mergeLaunchTemplates(files: Readonly<Record<string, string>>): Record<string, Record<string, Version>>;
