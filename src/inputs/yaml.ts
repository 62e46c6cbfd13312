export type Yaml = Pick<typeof import('yaml'), 'isAlias' | 'isScalar' | 'parseDocument' | 'visit'>;

/** The inputs that may hold some: a list of targets, and tags in quotes or as JSON. */
const mayHold = ['targets', 'tags', 'intermediate-tags', 'role-session-tags'];

/** What the inputs are read with as far as they are YAML; else it isn't loaded, which takes a fifth of a process's start. */
export async function yamlFor(get: (name: string) => string): Promise<Yaml | undefined> {
  if (mayHold.every((name) => get(name).trim() === '')) return undefined;
  const { isAlias, isScalar, parseDocument, visit } = await import('yaml');
  return { isAlias, isScalar, parseDocument, visit };
}
