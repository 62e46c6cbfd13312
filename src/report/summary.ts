import { placeName } from '../aws/errors.ts';
import { totalGiB } from '../image.ts';
import type { Kind } from '../plan/operation.ts';
import { consoleUrl } from '../regions.ts';
import { counted, spokenSeconds } from '../words.ts';
import { copyingTime, costsOf } from './costs.ts';
import { flowchart, gantt } from './mermaid.ts';
import { isLost, isReady, type Report, type TargetRecord } from './outputs.ts';
import type { PlanRecord } from './plan.ts';
import { markdown, markdownCell } from './text.ts';

/** A summary over 1 MiB isn't shown at all: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits */
const maxBytes = 1024 * 1024;

/** So many targets are in sight; the others are folded, or nobody would come to what is below them. */
const unfolded = 20;

/** The summary as Markdown: a verdict, what failed and why, a row a target, how it went, what it costs, what was cleaned up. */
export function summaryText(report: Report): string {
  const { sourceAmiId, targets, problems = [], warnings = [], failures, plan, cleanUp, seconds } = report;
  const failed = targets.filter(({ status }) => status === 'failed');
  const id = sourceAmiId === '' ? (plan === undefined ? 'not found' : 'yet to be made') : markdown(sourceAmiId);
  const source = plan === undefined ? '' : sourceText(plan.source);
  const took = seconds > 0 ? ` The run took ${spokenSeconds(seconds)}.` : '';
  const head = [`## ${verdict(report)}`, '', `Source ${id}${source}.${took}`];
  const failing = [
    ...failures.flatMap((failure) => failureText(failure)),
    // Where problems were found, they say it better.
    ...(problems.length > 0
      ? []
      : failed.flatMap(({ account, region, error = '', optional = false }) =>
          failureText(error, `**${markdown(placeName({ account, region }))}**${optional ? ' (optional)' : ''}: `),
        )),
  ];
  const table = [
    '| account | region | AMI | name | volumes | GiB | key | status | time |',
    '|---|---|---|---|--:|--:|---|---|--:|',
  ];
  const volumes = plan?.source.snapshots ?? [];
  const rows = [...failed, ...targets.filter(({ status }) => status !== 'failed')].map((target) =>
    row(target, volumes),
  );
  return within(
    [
      ...head,
      ...section('Problems', problemList(problems)),
      ...section('Failures', failing),
      ...section(
        'Warnings',
        [...(plan?.warnings ?? []), ...warnings, ...(plan?.dryRun ? plan.unasked : [])].map(
          (warning) => `- ${markdown(warning)}`,
        ),
      ),
    ],
    [
      ...(rows.length > 0 ? ['', ...table, ...rows.slice(0, unfolded)] : []),
      ...(rows.length > unfolded
        ? [
            '',
            `<details><summary>The other ${rows.length - unfolded} targets</summary>`,
            '',
            ...table,
            ...rows.slice(unfolded),
          ]
        : []),
    ],
    [
      ...(rows.length > unfolded ? ['', '</details>'] : []),
      ...section('How it went', gantt(report)),
      ...planText(plan),
      ...section('Cleaned up', cleanedList(cleanUp)),
    ],
  );
}

/** Problems with what to do, as a list. */
export function problemList(problems: NonNullable<Report['problems']>): string[] {
  return problems.flatMap(({ places, what, remedy }) => [
    `- **${markdown(places)}**: ${markdown(what)}`,
    ...(remedy === '' ? [] : [`  - What to do: ${markdown(remedy)}`]),
  ]);
}

/** What was taken back, and what could not be, as a list. */
export function cleanedList({ done, failed }: Report['cleanUp']): string[] {
  return [
    ...done.map((what) => `- ${markdown(what)}`),
    ...failed.map((what) => `- ⚠️ **left behind**: ${markdown(what)}`),
  ];
}

/** Lines under a heading; nothing where there are none. */
export function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `### ${title}`, '', ...lines];
}

/** What failed, and below it what to do. */
export function failureText(failure: string, where = ''): string[] {
  const [what = '', ...remedies] = failure.split(/\. (?=What to do: )/);
  return [`- ${where}${markdown(what)}`, ...remedies.map((remedy) => `  - ${markdown(remedy)}`)];
}

/** The volumes are told here, for every target has the same. */
function sourceText({ amiName, account, region, snapshots }: PlanRecord['source']): string {
  return ` (${markdown(amiName)}; ${counted(snapshots.length, 'volume')}, ${totalGiB(snapshots)} GiB) in ${markdown(placeName({ account, region }))}`;
}

function verdict(report: Report): string {
  const { targets, plan, problems = [], madeImageId } = report;
  if (problems.length > 0)
    return `❌ ${problems.length === 1 ? 'A problem was' : `${problems.length} problems were`} found; ${madeImageId === undefined ? 'nothing was changed' : `${markdown(madeImageId)} was made and is kept, nothing else was changed`}`;
  if (plan?.dryRun === true) {
    const [toMake, out] = ['planned', 'failed'].map((one) => targets.filter(({ status }) => status === one).length);
    const without = out === 0 ? '' : `; ${out} left out, because they have problems`;
    return `📋 Dry run: ${toMake} of ${targets.length} AMIs would be made${without}; nothing was changed`;
  }
  return targets.length === 0 ? '❌ The run failed' : targetsVerdict(report);
}

/** The verdict on a run that came as far as its targets. */
function targetsVerdict({ targets, failures, cleanUp }: Report): string {
  const made = targets.filter(isReady).length;
  const lost = targets.filter(isLost).length;
  if (lost > 0) {
    const others = made === 0 ? '' : `; ${made === 1 ? '1 AMI is' : `${made} AMIs are`} ready`;
    return `❌ ${lost} of ${targets.length} targets failed${others}`;
  }
  const missing = targets.length - made;
  const all = made === 1 ? 'The AMI is' : `All ${made} AMIs are`;
  const ready = missing === 0 ? all : `${made} of ${targets.length} AMIs are`;
  if (failures.length > 0) return `❌ ${ready} ready, but publishing failed`;
  if (cleanUp.failed.length > 0) return `⚠️ ${ready} ready, but something was left behind`;
  return missing === 0 ? `✅ ${ready} ready` : `⚠️ ${ready} ready; the others are optional, and failed`;
}

function row(
  { account, region, amiId, amiName, status, kmsKeyArn, seconds }: TargetRecord,
  volumes: PlanRecord['source']['snapshots'],
): string {
  const link = amiId === null ? '' : `[${markdownCell(amiId)}](${consoleUrl(region, amiId)})`;
  const key = kmsKeyArn === null ? '' : keyLink(kmsKeyArn, region);
  const icon = { created: '✅', reused: '♻️', failed: '❌', planned: '📋' }[status];
  const time = status === 'planned' ? '' : spokenSeconds(seconds).replaceAll(' ', '&nbsp;');
  return `| ${account} | ${region} | ${link} | ${markdownCell(amiName ?? '')} | ${volumes.length || ''} | ${totalGiB(volumes) || ''} | ${key} | ${icon}&nbsp;${status} | ${time} |`;
}

/** A key by the first of its digits, which tell it from others, so that a row stays on one line; the link has them all. */
function keyLink(arn: string, region: string): string {
  const id = arn.split('/').at(-1) ?? '';
  const first = id.slice(0, id.startsWith('mrk-') ? 12 : 8);
  return `[${markdownCell(`${first}…`)}](${new URL(consoleUrl(region, '')).origin}/kms/home?region=${region}#/kms/keys/${encodeURIComponent(id)})`;
}

/** The plan: as a picture where nothing was done yet, and its price. */
function planText(plan: PlanRecord | undefined): string[] {
  if (plan === undefined) return [];
  const { estimate, dryRun, topology } = plan;
  const costs = [...costsOf(estimate, topology), ...(dryRun ? copyingTime(estimate) : [])];
  const list = [...costs.map((one) => `- ${one}`), '', `<sub>By ${estimate.basis}.</sub>`];
  return [
    ...(dryRun && estimate.copies + estimate.takenOver + estimate.bootTests > 0
      ? section('Plan', flowchart(plan))
      : []),
    ...(dryRun ? section('What is done with the AMIs', following(plan)) : []),
    ...(costs.length > 0 ? section('Costs, by estimate', list) : []),
  ];
}

/** What is done with the AMIs once they are there, and what goes; the picture shows how they come to be. */
const follows: ReadonlySet<Kind> = new Set([
  ...(['boot', 'publish', 'parameter', 'template-version', 'deregister', 'delete', 'protect'] as const),
]);

function following({ operations }: PlanRecord): string[] {
  const rows = operations
    .filter(({ kind }) => follows.has(kind))
    .map(
      ({ kind, account, region, of, why }) =>
        `| ${account} | ${region} | ${kind} | ${markdownCell(of.join(', '))} | ${markdownCell(why)} |`,
    );
  if (rows.length === 0) return [];
  const table = ['| account | region | | of what | why |', '|---|---|---|---|---|', ...rows];
  if (rows.length <= unfolded) return table;
  return [`<details><summary>${counted(rows.length, 'operation')}</summary>`, '', ...table, '', '</details>'];
}

/** All lines, or as many of the middle ones as fit, with a word on the rest. */
export function within(head: string[], middle: string[], tail: string[]): string {
  const bytes = (lines: string[]) => lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  // A flood of failures must not crowd out the table.
  const first = fitting(head, maxBytes / 2);
  const last = fitting(tail, maxBytes / 4);
  const kept = fitting(middle, maxBytes - bytes(first) - bytes(last) - 200);
  return [...first, ...kept, ...last, ''].join('\n');
}

function fitting(lines: string[], room: number): string[] {
  const kept: string[] = [];
  let used = 0;
  for (const line of lines) {
    used += Buffer.byteLength(line) + 1;
    if (used > room - 100)
      return [
        ...kept,
        '',
        `…and ${lines.length - kept.length} lines more; the files that the outputs name have them all.`,
      ];
    kept.push(line);
  }
  return kept;
}
