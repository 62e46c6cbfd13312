import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

/*
 * Where a job may ask for an ID token, and with it for the roles, no package's script runs: it installs without them, and
 * takes its Node from setup-node, since the package `node` needs its script.
 */

type Step = Readonly<{ uses?: string; run?: string; with?: Readonly<Record<string, unknown>> }>;
type Permissions = string | Readonly<Record<string, string>>;
type Job = Readonly<{ permissions?: Permissions; steps?: readonly Step[] }>;
type Workflow = Readonly<{ permissions?: Permissions; jobs: Readonly<Record<string, Job>> }>;

const mayAsk = (permissions: Permissions | undefined): boolean =>
  permissions === 'write-all' || (typeof permissions === 'object' && permissions['id-token'] === 'write');

/** What of a workflow runs a package's script where an ID token may be asked for. */
function faultsOf(workflow: Workflow): string[] {
  return Object.entries(workflow.jobs)
    .filter(([, { permissions }]) => mayAsk(permissions ?? workflow.permissions))
    .flatMap(([name, { steps = [] }]) =>
      steps.flatMap(({ run = '' }, index) => {
        const installs = run.match(/\b(?:npm (?:ci|i|install|add)|npx|pnpm|yarn|bunx?)\b.*/g) ?? [];
        const node = steps.slice(0, index).find(({ uses }) => uses?.startsWith('actions/setup-node@'));
        return installs.flatMap((command) => [
          ...(command.includes('--ignore-scripts') ? [] : [`${name}: ${command} runs scripts`]),
          ...(node?.with?.['node-version'] === '24' ? [] : [`${name}: ${command} has no Node 24 of its own`]),
        ]);
      }),
    );
}

const root = join(import.meta.dirname, '..');
const files = ['.github/workflows', 'examples'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith('.yml'))
    .map((file) => `${folder}/${file}`),
);
const read = (file: string): Workflow => parse(readFileSync(join(root, file), 'utf8')) as Workflow;

describe('no package’s script runs where an ID token may be asked for', () => {
  test.each(files)('%s', (file) => {
    expect(faultsOf(read(file))).toEqual([]);
  });

  test('some workflow installs there', () => {
    const { jobs } = read('.github/workflows/e2e.yml');
    const installing = Object.values(jobs).filter(
      ({ permissions, steps = [] }) => mayAsk(permissions) && steps.some(({ run = '' }) => run.includes('npm ci')),
    );
    expect(installing.length).toBeGreaterThan(0);
  });

  test('one that does is found', () => {
    const job = (permissions: Permissions | undefined, ...steps: Step[]): Job => ({
      ...(permissions && { permissions }),
      steps,
    });
    const setup = { uses: 'actions/setup-node@v7', with: { 'node-version': '24' } };
    const token = { 'id-token': 'write' };
    const jobs = {
      plain: job(token, { run: 'npm ci && npm test' }),
      bare: job(token, { run: 'npm ci --ignore-scripts' }),
      right: job(token, setup, { run: 'npm ci --ignore-scripts' }),
      late: job(token, { run: 'npm ci --ignore-scripts' }, setup),
      without: job({ contents: 'read' }, { run: 'npm ci' }),
    };
    expect(faultsOf({ jobs })).toEqual([
      'plain: npm ci && npm test runs scripts',
      'plain: npm ci && npm test has no Node 24 of its own',
      'bare: npm ci --ignore-scripts has no Node 24 of its own',
      'late: npm ci --ignore-scripts has no Node 24 of its own',
    ]);
    expect(faultsOf({ permissions: token, jobs: { inherits: job(undefined, setup, { run: 'npx tool' }) } })).toEqual([
      'inherits: npx tool runs scripts',
    ]);
  });
});
