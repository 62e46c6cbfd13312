import { placeName } from '../aws/errors.ts';
import { type FindingKind, findingKinds } from '../inputs/audit.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { AuditFinding } from '../plan/audit.ts';
import type { Source } from '../plan/facts.ts';
import { counted, spokenSeconds } from '../words.ts';
import { fitting, type Report } from './outputs.ts';
import { failureText, problemList, section, within } from './summary.ts';
import { markdown, markdownCell, outputText } from './text.ts';

/** What an audit tells: of each target, and of what lies about; or the problems, or the failure, that ended it. */
export type AuditReport = Readonly<{
  targets: readonly TargetRequest[];
  findings: readonly AuditFinding[];
  /** Undefined where it was not found. */
  source: Source | undefined;
  /** The lineage, where that alone says what the source AMI is. */
  lineage?: string | undefined;
  seconds: number;
  problems: NonNullable<Report['problems']>;
  stopped: readonly string[];
}>;

/** The kinds that are of what lies about, and say nothing of a target. */
const aboutKinds: readonly FindingKind[] = ['left-over', 'foreign'];
const isOfTarget = ({ kind }: AuditFinding): boolean => !aboutKinds.includes(kind);

const errorCharacters = 200;

/** All outputs, cut where they are too long together. */
export function auditOutputs({ targets, findings, source }: AuditReport, findingsFile: string): Record<string, string> {
  const missing = new Set(findings.filter(({ kind }) => kind === 'missing').map(placeName));
  const toMake = targets.filter((target) => missing.has(placeName(target))).map(({ own }) => own);
  const outputs = {
    findings: outputText(findings),
    // Without targets, the inputs could not be read.
    'in-step': String(targets.length > 0 && !findings.some(isOfTarget)),
    'missing-targets': outputText(toMake),
    'source-ami-id': source?.imageId ?? '',
    'findings-file': findingsFile,
  };
  const brief = findings.map(({ differences: _, why, ...finding }) => ({
    ...finding,
    why: why.length > errorCharacters ? `${why.slice(0, errorCharacters)}…` : why,
  }));
  return fitting(outputs, [{ findings: outputText(brief) }, { findings: brief }, { 'missing-targets': toMake }]);
}

const icons: Readonly<Record<FindingKind | 'in step', string>> = {
  'in step': '✅',
  missing: '⬜',
  differs: '🟠',
  recalled: '⛔',
  unknown: '❓',
  'left-over': '🧹',
  foreign: '👽',
};

/** So many findings are in sight; the others are folded. */
const unfolded = 20;

/** The summary as Markdown: a verdict, a matrix of accounts and regions, and what was found. */
export function auditSummary(report: AuditReport): string {
  const { targets, findings, problems, stopped } = report;
  const of = comparedWith(report);
  const isDone = problems.length === 0 && stopped.length === 0;
  const rows = findings.map(rowOf);
  const table = ['| | account | region | what | why |', '|---|---|---|---|---|'];
  const more = rows.length - unfolded;
  return within(
    [
      `## ${verdict(report)}`,
      ...(of === undefined ? [] : ['', of]),
      ...section('Problems', problemList(problems)),
      ...section(
        'Failures',
        stopped.flatMap((failure) => failureText(failure)),
      ),
      ...(isDone ? matrix(targets, findings) : []),
    ],
    isDone && rows.length > 0
      ? [
          ...section('Findings', [...table, ...rows.slice(0, unfolded)]),
          ...(more > 0 ? ['', `<details><summary>${more} more</summary>`, '', ...table, ...rows.slice(unfolded)] : []),
        ]
      : [],
    more > 0 && isDone ? ['', '</details>'] : [],
  );
}

/** What the targets were compared with; undefined where it was not found. */
function comparedWith({ source, lineage, seconds }: AuditReport): string | undefined {
  if (source === undefined) return undefined;
  const newest = lineage === undefined ? '' : `, the newest source AMI of the lineage ${markdown(lineage)}`;
  const where =
    source.unread === undefined
      ? ` in ${markdown(placeName(source.place))}`
      : `; it could not be read, and only what the inputs say was compared`;
  const took = seconds > 0 ? ` The audit took ${spokenSeconds(seconds)}.` : '';
  return `Compared with ${markdown(source.imageId)}${newest}${where}.${took}`;
}

function verdict({ targets, findings, problems, stopped }: AuditReport): string {
  if (problems.length > 0) return '❌ Problems were found; nothing could be compared';
  if (stopped.length > 0) return '❌ The audit failed';
  const counts = findingKinds.flatMap((kind) => {
    const count = findings.filter((one) => one.kind === kind).length;
    return count === 0 ? [] : [`${count} ${kind}`];
  });
  const off = new Set(findings.filter(isOfTarget).map(placeName)).size;
  const inStep = `${targets.length - off} of ${counted(targets.length, 'target')} in step`;
  return counts.length === 0 ? `✅ ${inStep}` : `${off > 0 ? '❌' : '⚠️'} ${inStep}; ${counts.join(', ')}`;
}

/** So many regions stand side by side with their whole names. */
const wideRegions = 8;

/** The name of a region upright, its directions as AWS's zone IDs have them where there are many: `ap`, `se`, `2`. */
function upright(region: string, isNarrow: boolean): string {
  const narrow = (part: string) => part.replaceAll(/(north|south|central|east|west)/g, ([letter = '']) => letter);
  return (isNarrow ? narrow(region) : region).replaceAll('-', '<br>');
}

/** Accounts × regions, a sign each, of which twenty fit side by side. */
function matrix(targets: readonly TargetRequest[], findings: readonly AuditFinding[]): string[] {
  const accounts = [...new Set(targets.map(({ account }) => account))].sort();
  const regions = [...new Set(targets.map(({ region }) => region))].sort();
  const byPlace = Map.groupBy(findings, placeName);
  const asked = new Set(targets.map(placeName));
  const sign = (account: string, region: string): string => {
    const name = placeName({ account, region });
    const own = byPlace.get(name) ?? [];
    if (!asked.has(name)) return '';
    const inStep = own.some(isOfTarget) ? '' : icons['in step'];
    const found = findingKinds.filter((kind) => own.some((one) => one.kind === kind));
    return [inStep, ...found.map((kind) => icons[kind])].join('');
  };
  const shown = new Set(['in step' as const, ...findings.map(({ kind }) => kind)]);
  const legend = [...shown].map((kind) => `${icons[kind]} ${kind}`).join(' · ');
  return [
    ...['', `| account | ${regions.map((region) => upright(region, regions.length > wideRegions)).join(' | ')} |`],
    `|---|${regions.map(() => ':-:|').join('')}`,
    ...accounts.map((account) => `| ${account} | ${regions.map((region) => sign(account, region)).join(' | ')} |`),
    ...['', legend],
  ];
}

function rowOf({ kind, account, region, id, why, optional }: AuditFinding): string {
  const what = `${kind}${optional ? ' (optional)' : ''}`;
  const told = id !== undefined && why.startsWith(`${id}: `) ? why.slice(id.length + 2) : why;
  return `| ${icons[kind]} | ${account} | ${region} | ${what}${id === undefined ? '' : `<br>${markdownCell(id)}`} | ${markdownCell(told)} |`;
}
