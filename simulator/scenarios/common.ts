import { readFileSync } from 'node:fs';
import type { AccountScenario, RoleScenario } from '../scenario.ts';
import type { PolicyDocument } from '../world.ts';

export const githubIssuer = 'https://token.actions.githubusercontent.com';
export const subject = 'repo:acme/images:ref:refs/heads/main';
const repository = { owner: 'acme', repository: 'images', branch: 'main' };

/** A published policy of `policies/` with its placeholders filled in; a list becomes several values. */
export function publishedPolicy(
  name: string,
  values: Readonly<Record<string, string | readonly string[]>>,
): PolicyDocument {
  const text = readFileSync(new URL(`../../policies/${name}.json`, import.meta.url), 'utf8');
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string') return fillText(value, values);
    if (Array.isArray(value)) return value.flatMap(fill);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
  };
  return fill(JSON.parse(text)) as PolicyDocument;
}

function fillText(text: string, values: Readonly<Record<string, string | readonly string[]>>): string | string[] {
  const [placeholder, name = ''] = /<([a-z-]+)>/.exec(text) ?? [];
  if (placeholder === undefined) return text;
  const value = values[name];
  if (value === undefined) throw new Error(`no value for ${placeholder}`);
  const filled = [value].flat().flatMap((one) => fillText(text.replaceAll(placeholder, one), values));
  return filled.length === 1 ? (filled[0] ?? '') : filled;
}

/** GitHub's OIDC provider, as every account of the README has it. */
export const oidc: NonNullable<AccountScenario['oidc']> = [{ issuer: githubIssuer, audiences: ['sts.amazonaws.com'] }];

/** A role that this workflow may assume by OIDC. */
export function workflowRole(account: string, ...policies: PolicyDocument[]): RoleScenario {
  return { trust: publishedPolicy('trust-branch', { account, ...repository }), policies };
}
