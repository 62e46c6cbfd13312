import { existsSync } from 'node:fs';
import { summary } from '@actions/core';
import { consoleUrl } from '../regions.ts';
import { spokenSeconds } from '../time.ts';
import type { Report, TargetRecord } from './outputs.ts';

/** A summary over 1 MiB isn't shown at all: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits */
const maxBytes = 1024 * 1024;

/** Writes the job summary, where the runner takes one. */
export async function writeSummary(report: Report): Promise<void> {
  const path = process.env.GITHUB_STEP_SUMMARY;
  if (!path || !existsSync(path)) return;
  await summary.addRaw(summaryText(report), true).write();
}

/** The summary as Markdown: a verdict, the failures, a row a target, and what was cleaned up. */
export function summaryText(report: Report): string {
  const { sourceAmiId, targets, cleanUp, seconds } = report;
  const failed = targets.filter(({ status }) => status === 'failed');
  const head = [
    `## ${verdict(targets)}`,
    '',
    `Source \`${sourceAmiId}\`, ${spokenSeconds(seconds)}.`,
    ...(failed.length > 0 ? ['', '### Failures', ''] : []),
  ];
  const failures = failed.map(({ account, region, error }) => `- **${account}/${region}**: ${plain(error ?? '')}`);
  const table = ['', '| account | region | AMI | name | status | key | time |', '|---|---|---|---|---|---|---|'];
  const rows = [...failed, ...targets.filter(({ status }) => status !== 'failed')].map(row);
  const cleaned = [
    '',
    ...cleanUp.done.map((what) => `- ${plain(what)}`),
    ...cleanUp.failed.map((what) => `- ⚠️ **left behind**: ${plain(what)}`),
  ];
  return within([...head, ...failures, ...table], rows, cleaned.length > 1 ? ['', '### Cleaned up', ...cleaned] : []);
}

function verdict(targets: readonly TargetRecord[]): string {
  const made = targets.filter(({ amiId }) => amiId !== null).length;
  if (made === targets.length) return `✅ ${made === 1 ? 'The AMI is' : `All ${made} AMIs are`} ready`;
  return `❌ ${targets.length - made} of ${targets.length} targets failed`;
}

function row({ account, region, amiId, amiName, status, kmsKeyArn, seconds }: TargetRecord): string {
  const link = amiId === null ? '' : `[\`${amiId}\`](${consoleUrl(region, amiId)})`;
  const key = kmsKeyArn === null ? '' : `\`${kmsKeyArn.split(':').at(-1) ?? ''}\``;
  return `| ${account} | ${region} | ${link} | ${plain(amiName ?? '')} | ${status} | ${key} | ${spokenSeconds(seconds)} |`;
}

/** AWS's and the user's words are text, not Markdown or HTML. */
function plain(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/([|\\`*_[\]])/g, '\\$1')
    .replace(/\s+/g, ' ');
}

/** All lines, or as many of the middle ones as fit, with a word on the rest. */
function within(head: string[], middle: string[], tail: string[]): string {
  const bytes = (lines: string[]) => lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  const room = maxBytes - bytes(head) - bytes(tail) - 200;
  const kept: string[] = [];
  let used = 0;
  for (const line of middle) {
    used += Buffer.byteLength(line) + 1;
    if (used > room) break;
    kept.push(line);
  }
  const left = middle.length - kept.length;
  return [
    ...head,
    ...kept,
    ...(left > 0 ? ['', `…and ${left} more, in the output \`targets\`.`] : []),
    ...tail,
    '',
  ].join('\n');
}
