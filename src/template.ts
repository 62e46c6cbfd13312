/** What may stand in the inputs marked as templates. `name` and `source-ami` are known once the source AMI is found. */
export type TemplateValues = Readonly<{
  account: string;
  region: string;
  name: string;
  'source-ami': string;
  date: string;
  sha: string;
  'run-id': string;
}>;

export const placeholders = [
  'account',
  'region',
  'name',
  'source-ami',
  'date',
  'sha',
  'run-id',
] as const satisfies readonly (keyof TemplateValues)[];

/** A target of the shortest names: what doesn't fit with these never will. */
export const shortestTarget = { account: '0'.repeat(12), region: 'us-east-1' } as const;

/** The shortest that an AMI has, likewise. */
export const shortestSource = { name: 'abc', 'source-ami': 'ami-00000000' } as const;

const placeholder = /\{([a-z-]+)\}/g;

/** The placeholders of `template` that do not exist, as written: `{acount}`. */
export function unknownPlaceholders(template: string): string[] {
  return [...template.matchAll(placeholder)]
    .filter(([, name]) => !placeholders.some((known) => known === name))
    .map(([written]) => written);
}

/** Whether `template` can be filled in only when the source AMI is known. */
export function needsSourceImage(template: string): boolean {
  return /\{(name|source-ami)\}/.test(template);
}

const ofAnyRun: Readonly<Record<string, string>> = { date: '\\d{8}', sha: '[0-9a-f]*', 'run-id': '\\d*', name: '.*' };

/** What `template` may have become in any run: its placeholders filled in, and for what isn't known whatever it may be. */
export function filledByAnyRun(template: string, values: Partial<TemplateValues>): RegExp {
  const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const parts = fill(template, values).split(placeholder);
  return new RegExp(`^${parts.map((part, index) => (index % 2 === 1 ? ofAnyRun[part] : escaped(part))).join('')}$`);
}

/** `template` with its placeholders filled in. */
export function fill(template: string, values: Partial<TemplateValues>): string {
  return template.replace(placeholder, (written, name: string) =>
    Object.hasOwn(values, name) ? (values[name as keyof TemplateValues] ?? written) : written,
  );
}
