/*
 * The diagrams of the summary and of the documents, as far as can be told without mermaid, which brings more than a hundred
 * packages: that mermaid itself parses them is what `npm run check --prefix pictures` looks at, by the same diagrams.
 */

/** The diagrams of a Markdown text. */
export function diagramsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^```mermaid\n([\s\S]*?)^```$/gm)].map(([, one = '']) => one);
}

// No sign that ends a label or begins something else, but for a break of the line and signs by their numbers.
const label = String.raw`(?:<br/>|#\d+;|[^"#;<>{}[\]()|${'`'}:\\])+`;
const node = String.raw`\w+\["${label}"\]`;
const drawn = {
  flowchart: ['flowchart LR', `  ${node}`, String.raw`  \w+ -->\|[\w, ]+\| ${node}`],
  gantt: [
    'gantt',
    '  dateFormat x',
    '  axisFormat %H:%M:%S',
    `  section ${label}`,
    String.raw`  [\w -]+ :(?:crit, )?\d+, \d+`,
  ],
};

/** What of a diagram that the summary draws is not in the few forms that its lines have, or more than mermaid draws. */
export function faultsOf(diagram: string): string[] {
  const [settings = '', kind = '', ...lines] = diagram.trimEnd().split('\n');
  const forms = drawn[kind.startsWith('gantt') ? 'gantt' : 'flowchart'].map((form) => new RegExp(`^${form}$`));
  const edges = lines.filter((line) => line.includes('-->'));
  const named = new Set(lines.map((line) => /(\w+)\["/.exec(line)?.[1]));
  return [
    ...(/^%%\{init: \{.*\}\}%%$/.test(settings) ? [] : [settings]),
    ...[kind, ...lines].filter((line) => !forms.some((form) => form.test(line))),
    // An edge from what isn't there would draw a bare word.
    ...edges.filter((line) => !named.has(line.trim().split(' ')[0])),
    ...(edges.length > 500 ? [`${edges.length} edges`] : []),
    ...(diagram.length > 50_000 ? [`${diagram.length} characters`] : []),
  ];
}
