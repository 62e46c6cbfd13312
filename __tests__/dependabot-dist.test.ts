import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

/*
 * The scripts of the workflow that commits dist/ on Dependabot's pull requests, as they stand in it, against archives that
 * an honest build makes and that a dishonest one could make.
 */

type Job = Readonly<{ permissions: object; steps: readonly Readonly<{ name?: string; run?: string }>[] }>;
type Workflow = Readonly<{ on: object; permissions: object; jobs: Readonly<Record<'build' | 'commit', Job>> }>;
const workflow = parse(
  readFileSync(new URL('../.github/workflows/dependabot-dist.yml', import.meta.url), 'utf8'),
) as Workflow;

const files = ['dist/licenses.txt', 'dist/main/index.js', 'dist/post/index.js'];
const branch = 'dependabot/npm_and_yarn/p-limit-8.0.0';

let folder: string;
const path = (...parts: string[]) => join(folder, ...parts);
const environment = () => ({
  ...process.env,
  PATH: `${path('bin')}:${process.env.PATH}`,
  RUNNER_TEMP: path('temp'),
  GITHUB_OUTPUT: path('output'),
  BRANCH: branch,
  GIT_CONFIG_GLOBAL: '/dev/null',
});
const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=Dependabot', '-c', 'user.email=d@example.com', ...args], {
    cwd: path('checkout'),
    env: environment(),
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();

function write(file: string, content: string): void {
  mkdirSync(dirname(path(file)), { recursive: true });
  writeFileSync(path(file), content);
}

/** What stands for a program that a script calls. */
function program(name: string, script: string): void {
  write(`bin/${name}`, `#!/bin/sh\n${script}\n`);
  chmodSync(path('bin', name), 0o755);
}

/** Runs the scripts of a job one after another, as the runner's bash does, and stops at the first that fails. */
function run(job: 'build' | 'commit', only = /./) {
  for (const { name = '', run: script } of workflow.jobs[job].steps) {
    if (script === undefined || !only.test(name)) continue;
    const shell = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script];
    const done = spawnSync('bash', shell, { cwd: path('checkout'), env: environment(), encoding: 'utf8' });
    if (done.status !== 0) return { failed: name, output: done.stdout + done.stderr };
  }
  return { failed: undefined, output: '' };
}

const pushed = () => git('ls-remote', 'origin', `refs/heads/${branch}`).split('\t')[0];

/** The archive of the build job comes to the other one. */
function handOver(): void {
  mkdirSync(path('temp/built'), { recursive: true });
  cpSync(path('temp/dist.tar'), path('temp/built/dist.tar'));
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dependabot-'));
  for (const file of files) write(`checkout/${file}`, `old ${file}\n`);
  write('checkout/package.json', '{}\n');
  mkdirSync(path('temp'));
  program('gh', 'exit 0');
  git('init', '--initial-branch=main');
  git('add', '.');
  git('commit', '--message=Bump p-limit');
  git('init', '--bare', path('origin'));
  git('remote', 'add', 'origin', path('origin'));
  git('push', 'origin', `HEAD:refs/heads/${branch}`);
  // As actions/checkout leaves it.
  git('checkout', '--detach');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('an honest build', () => {
  test('is committed onto the branch: its files, and no others', () => {
    program('npm', `for file in ${files.join(' ')}; do echo "new $file" > "$file"; done; echo '{ }' > package.json`);
    const before = pushed();
    expect(run('build', /Build/).output).toBe('');
    expect(readFileSync(path('output'), 'utf8')).toBe('changed=true\n');
    handOver();
    git('checkout', '--force', '--detach', 'main');
    expect(run('commit')).toEqual({ failed: undefined, output: '' });
    const after = pushed() ?? '';
    expect(git('rev-parse', `${after}^`)).toBe(before);
    expect(git('diff', '--raw', '--no-abbrev', '--format=', `${after}^`, after).split('\n')).toEqual(
      files.map((file) => expect.stringMatching(`^:100644 100644 \\S+ \\S+ M\t${file}$`)),
    );
    for (const file of files) expect(git('show', `${after}:${file}`)).toBe(`new ${file}`);
    expect(git('log', '-1', '--format=%an%n%B', after)).toMatch(/^github-actions\[bot\]\n[\s\S]*\[dependabot skip\]$/);
  });

  test('that makes the same dist/ is no commit', () => {
    program('npm', 'exit 0');
    expect(run('build', /Build/).output).toBe('');
    expect(existsSync(path('output')) && readFileSync(path('output'), 'utf8')).toBe(false);
  });

  test('of a branch that has moved meanwhile is not pushed over it', () => {
    program('npm', `for file in ${files.join(' ')}; do echo "new $file" > "$file"; done`);
    run('build', /Build/);
    handOver();
    git('checkout', '--force', '--detach', 'main');
    git('commit', '--allow-empty', '--message=Bump p-limit again');
    git('push', 'origin', `HEAD:refs/heads/${branch}`);
    const moved = pushed();
    git('checkout', '--force', '--detach', 'main');
    expect(run('commit').failed).toBe('Push it');
    expect(pushed()).toBe(moved);
  });
});

type Entry = Readonly<{ name: string; type?: '0' | '1' | '2' | '5'; link?: string; content?: string }>;

/** A tar archive, of entries that tar itself wouldn't write. */
function archive(entries: readonly Entry[]): Buffer {
  const blocks = entries.map(({ name, type = '0', link = '', content = '' }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write('0000644\0', 100);
    header.write(`${Buffer.byteLength(content).toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write(' '.repeat(8), 148);
    header.write(type, 156);
    header.write(link, 157);
    header.write('ustar\u000000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return Buffer.concat([
      header,
      Buffer.from(content),
      Buffer.alloc((512 - (Buffer.byteLength(content) % 512)) % 512),
    ]);
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

describe('a dishonest build', () => {
  const plain: Entry[] = files.map((name) => ({ name, content: `new ${name}\n` }));
  const [, , third = { name: '' }] = plain;
  const others = plain.slice(0, 2);
  const check = 'The archive holds the files of dist/ and nothing else';

  const commit = (entries: readonly Entry[]) => {
    mkdirSync(path('temp/built'), { recursive: true });
    writeFileSync(path('temp/built/dist.tar'), archive(entries));
    return run('commit');
  };

  test('would get through with a plain file each', () => {
    expect(commit(plain)).toEqual({ failed: undefined, output: '' });
  });

  test.each<[string, Entry[]]>([
    ['one more file', [...plain, { name: 'dist/main/other.js', content: 'x' }]],
    ['a workflow', [...plain, { name: '.github/workflows/ci.yml', content: 'x' }]],
    ['a file less', others],
    ['a file twice', [...plain, third]],
    ['a link for a file', [...others, { name: third.name, type: '2', link: '/etc/passwd' }]],
    ['a hard link for a file', [...others, { name: third.name, type: '1', link: '../package.json' }]],
    ['a folder for a file', [...others, { name: third.name, type: '5' }]],
    ['a link for a folder', [...plain, { name: 'dist/post', type: '2', link: '../..' }]],
    ['a path outwards', [...plain, { name: '../outside', content: 'x' }]],
    ['a path outwards and in again', [...others, { ...third, name: 'dist/../dist/post/index.js' }]],
    ['a path from the root', [...others, { ...third, name: `/${third.name}` }]],
    ['two names in one', [...others, { ...third, name: `${third.name}\ndist/x` }]],
  ])('is refused with %s', (_, entries) => {
    const before = pushed();
    expect(commit(entries).failed).toBe(check);
    expect(pushed()).toBe(before);
    expect(git('status', '--porcelain')).toBe('');
    expect(existsSync(path('outside')) || existsSync(path('temp/outside'))).toBe(false);
  });

  test('is refused with no archive at all', () => {
    mkdirSync(path('temp/built'));
    writeFileSync(path('temp/built/dist.tar'), 'nothing of the kind');
    expect(run('commit').failed).toBe(check);
  });
});

test('the job that runs code may only read, the one that writes runs none of it', () => {
  expect(Object.keys(workflow.on)).toEqual(['pull_request']);
  expect(workflow.permissions).toEqual({});
  expect(workflow.jobs.build.permissions).toEqual({ contents: 'read' });
  expect(workflow.jobs.commit.permissions).toEqual({ contents: 'write' });
  for (const { run: script = '' } of workflow.jobs.commit.steps) expect(script).not.toMatch(/\b(npm|npx|node)\b/);
});
