import { placeName } from '../aws/errors.ts';
import type { Recalled } from '../outcome.ts';
import { consoleUrl } from '../regions.ts';
import { counted, spokenSeconds } from '../words.ts';
import { fitting, type Report } from './outputs.ts';
import { failureText, problemList, section, within } from './summary.ts';
import { commandCell, markdown, markdownCell, outputText } from './text.ts';

/** What a recall tells: what became of each AMI, and what still uses one; or the problems, or the failure, that ended it. */
export type RecallReport = Recalled &
  Readonly<{ reason: string; restore: boolean; problems: NonNullable<Report['problems']> }>;

const errorCharacters = 200;

/** All outputs, cut where they are too long together. */
export function recallOutputs({ targets, inUse }: RecallReport, files: Readonly<{ inUse: string; targets: string }>) {
  const outputs = {
    'in-use': outputText(inUse),
    targets: outputText(targets),
    'in-use-file': files.inUse,
    'targets-file': files.targets,
  };
  const brief = targets.map(({ error, ...target }) =>
    error === undefined ? target : { ...target, error: error.slice(0, errorCharacters) },
  );
  const uses = inUse.map(({ command: _, ...use }) => use);
  return fitting(outputs, [
    { targets: outputText(brief) },
    { 'in-use': outputText(uses) },
    { targets: brief },
    { 'in-use': uses },
  ]);
}

const icons: Readonly<Record<RecallReport['targets'][number]['status'], string>> = {
  ...{ disabled: '⛔', deprecated: '🕓', deregistered: '🗑️', restored: '✅', absent: '⬜', failed: '❌' },
};

/** The summary as Markdown: what must be acted on first, then what failed, and what became of each AMI. */
export function recallSummary(report: RecallReport): string {
  const { inUse, targets, done, left, failed, reason, seconds, problems } = report;
  const took = seconds > 0 ? ` It took ${spokenSeconds(seconds)}.` : '';
  const uses = inUse.map(
    ({ account, region, amiId, by, command }) =>
      `| ${account} | ${region} | ${markdownCell(amiId)} | ${markdownCell(by)} | ${commandCell(command)} |`,
  );
  const rows = targets.map(({ account, region, amiId, sourceAmi, status }) => {
    const link = amiId === null ? '' : `[${markdownCell(amiId)}](${consoleUrl(region, amiId)})`;
    return `| ${account} | ${region} | ${link} | ${markdownCell(sourceAmi ?? '')} | ${icons[status]}&nbsp;${status} |`;
  });
  const list = (all: readonly string[]) => all.map((what) => `- ${markdown(what)}`);
  return within(
    [
      `## ${verdict(report)}`,
      ...(reason === '' ? [] : ['', `${markdown(reason)}.${took}`]),
      ...section('Problems', problemList(problems)),
    ],
    [
      ...(uses.length === 0
        ? []
        : section('Still in use', [
            '| account | region | AMI | by | what ends it |',
            '|---|---|---|---|---|',
            ...uses,
          ])),
      ...section(
        'Failures',
        failed.flatMap((failure) => failureText(failure)),
      ),
      ...(rows.length === 0
        ? []
        : section('AMIs', ['| account | region | AMI | source | |', '|---|---|---|---|---|', ...rows])),
      ...section('Left alone', list(left)),
      ...section('What was done', list(done)),
    ],
    [],
  );
}

function verdict({ targets, failed, inUse, restore, problems }: RecallReport): string {
  if (problems.length > 0) return '❌ Problems were found; nothing was changed';
  const reached = targets.filter(({ status, amiId }) => status !== 'failed' && amiId !== null).length;
  const what = `${counted(reached, 'AMI')} ${restore ? 'restored' : 'taken back'}`;
  const places = new Set(inUse.map(placeName)).size;
  const used = inUse.length === 0 ? '' : `; still in use in ${counted(places, 'target')}`;
  if (failed.length > 0) return `❌ ${what}${used}; not all could be done`;
  return `${inUse.length > 0 ? '⚠️' : '✅'} ${what}${used}`;
}
