// What becomes of text that AWS or the user wrote in a summary, when GitHub's Markdown and mermaid render it. What GitHub
// makes of a page's text afterwards (mentions, numbers of issues, commits) it makes outside of code alone.
// https://docs.github.com/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
import { diagramsOf } from '../__tests__/diagrams.ts';
import { foreignTexts, withoutBlanks } from '../__tests__/foreign-text.ts';
import { oneLine } from '../src/one-line.ts';
import type { Report } from '../src/report/outputs.ts';
import type { PlanRecord } from '../src/report/plan.ts';
import { summaryText } from '../src/report/summary.ts';
import { labelsOf } from './parse-mermaid.mjs';
import { rendered } from './render.mjs';

/** A report in which AWS's and the user's words are all `text`. */
function reportOf(text: string, plan: PlanRecord): Report {
  const target = plan.targets[0];
  if (target === undefined) throw new Error('a plan without targets has no diagram');
  const { account, region } = target;
  return {
    sourceAmiId: 'ami-00000001',
    plan: {
      ...plan,
      source: { ...plan.source, amiName: text },
      targets: [{ ...target, amiName: text }],
      warnings: [text],
    },
    problems: [{ places: text, what: text, remedy: text }],
    targets: [
      {
        ...{ account, region, amiId: null, amiName: text, snapshotIds: [], kmsKeyArn: null },
        ...{ status: 'failed', seconds: 1, error: text },
      },
    ],
    failures: [text],
    cleanUp: { done: [text], failed: [text] },
    timeline: [],
    seconds: 1,
  };
}

/** What is wrong with how foreign text is rendered, in words; `plan` is a dry run's. */
export async function foreignTextFaults(plan: PlanRecord): Promise<string[]> {
  const harmless = rendered(summaryText(reportOf('word', plan)));
  const faults: string[] = [];
  for (const foreign of foreignTexts(300)) {
    const shown = oneLine(foreign).trim();
    // Of nothing, nothing is shown.
    if (shown === '') continue;
    const summary = summaryText(reportOf(foreign, plan));
    const { elements, text, prose } = rendered(summary);
    const fault = (what: string) => faults.push(`${JSON.stringify(foreign)}: ${what}`);
    if (elements !== harmless.elements) fault(`it makes elements of its own: ${elements}`);
    if (/[@#<>|`~*_\\]|www\.|[0-9a-f]{7}/.test(prose.replaceAll(/\d{12}/g, '')))
      fault(`it is markup or a link: ${prose}`);
    if (withoutBlanks(text).split(withoutBlanks(shown)).length < 9) fault(`it is not there as it was: ${text}`);
    for (const diagram of diagramsOf(summary)) {
      const labels = await labelsOf(diagram);
      if (labels.get('source')?.[1] !== shown || labels.get('target0')?.[1] !== shown)
        fault(`the diagram has ${JSON.stringify([...labels])}`);
    }
  }
  return faults;
}
