import { totalGiB } from '../image.ts';
import { counted } from '../words.ts';
import type { Report } from './outputs.ts';
import type { PlannedTarget, PlanRecord } from './plan.ts';
import { mermaidLabel as label } from './text.ts';

/*
 * Mermaid, as GitHub renders it in a summary. It draws at most 50,000 characters, and 500 edges
 * (https://mermaid.js.org/config/schema-docs/config.html), and nobody reads a picture of a thousand bars.
 */

/** So many targets are drawn each by itself. */
const drawn = 30;

/** A diagram as a block of Markdown, with what of mermaid's settings suits it. */
function diagram(settings: Readonly<Record<string, unknown>>, lines: readonly string[]): string[] {
  return ['```mermaid', `%%{init: ${JSON.stringify(settings)}}%%`, ...lines, '```'];
}

/** The plan as a flowchart: the source, its encrypted copies, the targets. */
export function flowchart({ source, targets, operations }: PlanRecord): string[] {
  const making = targets.filter(({ action }) => action === 'create');
  if (making.length === 0) return [];
  const size = totalGiB(source.snapshots);
  const lines = [
    'flowchart LR',
    `  source["${label(source.amiId ?? 'yet to be made')}<br/>${label(source.amiName)}<br/>${source.account}/${source.region}<br/>${counted(source.snapshots.length, 'volume')}, ${size} GiB"]`,
  ];
  const copied = operations.filter(({ kind }) => kind === 'encrypt' || kind === 'await');
  const encrypted = [...new Map(copied.map((one) => [one.region, one])).values()];
  for (const { region } of encrypted)
    lines.push(`  source -->|encrypt| copy_${id(region)}["encrypted copy<br/>${source.account}/${region}"]`);
  const from = (target: PlannedTarget): string =>
    target.account !== source.account && encrypted.some(({ region }) => region === target.from)
      ? `copy_${id(target.from)}`
      : 'source';
  if (making.length <= drawn) {
    for (const [index, target] of making.entries()) {
      const verb = target.route === 'copy' ? 'share, copy image' : 'share, copy, register';
      lines.push(
        `  ${from(target)} -->|${target.account === source.account ? 'copy' : verb}| target${index}["${target.account}/${target.region}<br/>${label(target.amiName)}"]`,
      );
    }
  } else {
    for (const [index, [key, group]] of [...Map.groupBy(making, (one) => `${from(one)} ${one.region}`)].entries()) {
      lines.push(
        `  ${key.split(' ')[0]} -->|${counted(group.length, 'account')}| region${index}["${group[0]?.region}"]`,
      );
    }
  }
  // Wide enough for an account with its region, and for most names, on one line.
  return diagram({ flowchart: { wrappingWidth: 400 } }, lines);
}

function id(region: string): string {
  return region.replace(/-/g, '_');
}

/** A character of a section's title is so wide, in pixels; the bars begin where the longest title ends. */
const titleCharacter = 6.5;

/**
 * What each target's steps took, as a Gantt chart. What is done for all comes first; of many targets, those that failed are
 * shown, then the slowest.
 */
export function gantt({ timeline, targets }: Report): string[] {
  const byPlace = Map.groupBy(timeline, ({ place }) => place);
  const start = Math.min(...timeline.map(({ from }) => from));
  const made = new Set(targets.map(({ account, region }) => `${account}/${region}`));
  const failed = new Set(
    targets.filter(({ status }) => status === 'failed').map(({ account, region }) => `${account}/${region}`),
  );
  const rank = (place: string): number => (made.has(place) ? (failed.has(place) ? 1 : 2) : 0);
  const places = [...byPlace]
    .map(([place, spans]) => ({ place, spans, end: Math.max(...spans.map(({ to }) => to)) }))
    .sort((a, b) => rank(a.place) - rank(b.place) || b.end - a.end);
  if (places.length === 0) return [];
  const lines = ['gantt', '  dateFormat x', '  axisFormat %H:%M:%S'];
  const shown = places.slice(0, drawn);
  for (const { place, spans } of shown) {
    lines.push(`  section ${label(place)}`);
    for (const { step, from, to } of spans.filter(({ from, to }) => to - from >= 10)) {
      // Counted from the start: a chart of hours begins at 0.
      const mark = failed.has(place) ? 'crit, ' : '';
      lines.push(`  ${step} :${mark}${Math.round(from - start)}, ${Math.round(to - start)}`);
    }
  }
  const more = places.length - drawn;
  const longest = Math.max(...shown.map(({ place }) => place.length));
  const settings = { gantt: { leftPadding: Math.ceil(longest * titleCharacter) + 20 } };
  return [
    ...diagram(settings, lines),
    ...(more > 0 ? ['', `${drawn} of ${places.length}: those that failed, then the slowest.`] : []),
  ];
}
