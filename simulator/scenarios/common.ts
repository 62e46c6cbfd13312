import { readFileSync } from 'node:fs';
import type { AccountScenario, RoleScenario } from '../scenario.ts';
import type { PolicyDocument } from '../world.ts';

export const githubIssuer = 'https://token.actions.githubusercontent.com';
export const subject = 'repo:acme/images:ref:refs/heads/main';
const repository = { owner: 'acme', repository: 'images', branch: 'main' };

/** The published policies that were read so far: every role of every scenario is made of them. */
const published = new Map<string, unknown>();

function publishedFile(name: string): unknown {
  const known = published.get(name);
  if (known !== undefined) return known;
  const policy = JSON.parse(readFileSync(new URL(`../../policies/${name}.json`, import.meta.url), 'utf8'));
  published.set(name, policy);
  return policy;
}

/** A published policy of `policies/` with its placeholders filled in; a list becomes several values. */
export function publishedPolicy(
  name: string,
  values: Readonly<Record<string, string | readonly string[]>>,
): PolicyDocument {
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string') return fillText(value, values);
    if (Array.isArray(value)) return value.flatMap(fill);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
  };
  return fill(publishedFile(name)) as PolicyDocument;
}

function fillText(text: string, values: Readonly<Record<string, string | readonly string[]>>): string | string[] {
  const [placeholder, name = ''] = /<([a-z-]+)>/.exec(text) ?? [];
  if (placeholder === undefined) return inPartition(text, String(values.partition ?? 'aws'));
  const value = values[name];
  if (value === undefined) throw new Error(`no value for ${placeholder}`);
  const filled = [value].flat().flatMap((one) => fillText(text.replaceAll(placeholder, one), values));
  return filled.length === 1 ? (filled[0] ?? '') : filled;
}

/** What docs/permissions.md says to change in other partitions than `aws`. */
function inPartition(text: string, partition: string): string {
  const audience = partition === 'aws-cn' ? 'sts.amazonaws.com.cn' : 'sts.amazonaws.com';
  return text === 'sts.amazonaws.com' ? audience : text.replace(/^arn:aws:/, `arn:${partition}:`);
}

/** GitHub's OIDC provider, as every account of docs/permissions.md has it. */
export const oidcIn = (partition: string): NonNullable<AccountScenario['oidc']> => [
  { issuer: githubIssuer, audiences: [inPartition('sts.amazonaws.com', partition)] },
];
export const oidc = oidcIn('aws');

/** A role that this workflow may assume by OIDC. */
export function workflowRole(
  account: string,
  policies: readonly PolicyDocument[] = [],
  partition = 'aws',
): RoleScenario {
  return { trust: publishedPolicy('trust-branch', { account, partition, ...repository }), policies };
}
