import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { commitsOf, problemsOf } from '../scripts/commits.mjs';

/* What CI wants of the commits of a pull request: a short subject, and a body. */

const commit = (message: string, others: Partial<Parameters<typeof problemsOf>[0]> = {}) => ({
  author: 'Somebody',
  parents: ['1'],
  message,
  ...others,
});
const long = 'x'.repeat(72);

describe('a commit', () => {
  test('says what and why', () => {
    expect(problemsOf(commit(`${'x'.repeat(71)}\n\nBecause.\n`))).toEqual([]);
  });

  test('has its characters counted, not its bytes', () => {
    expect(problemsOf(commit(`${'é😀'.repeat(35)}\n\nBecause.\n`))).toEqual([]);
  });

  test.each([
    ['a long subject', `${long}\n\nBecause.\n`, 'the subject has 72 characters, not at most 71'],
    ['no body', 'Something\n', 'no body says why'],
    ['a body of nothing', 'Something\n\n \n', 'no body says why'],
    ['a signature alone', 'Something\n\nSigned-off-by: A <a@example.com>\n', 'no body says why'],
    ['a subject that runs on', 'Something\nand more\n', 'the subject is not one line with an empty one after it'],
  ])('is told of %s', (_, message, problem) => {
    expect(problemsOf(commit(message))).toEqual([problem]);
  });

  test('is told of all at once', () => {
    expect(problemsOf(commit(long))).toHaveLength(2);
  });

  test.each([
    ["is Dependabot's", { author: 'dependabot[bot]' }],
    ['merges', { parents: ['1', '2'] }],
  ])('may be as it is where it %s', (_, others) => {
    expect(problemsOf(commit(long, others))).toEqual([]);
  });
});

test('the commits are those of the branch, as git tells them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'commits-'));
  const git = (...args: string[]) =>
    execFileSync(
      'git',
      ['-c', 'commit.gpgsign=false', '-c', 'user.name=Somebody', '-c', 'user.email=s@example.com', ...args],
      {
        cwd: folder,
        stdio: 'pipe',
      },
    );
  try {
    git('init', '--initial-branch=main');
    git('commit', '--allow-empty', '--message=The first\n\nBecause.');
    git('switch', '--create=branch');
    git('commit', '--allow-empty', '--message=The second\n\nBecause of this,\nand of that.');
    git('commit', '--allow-empty', '--message=The third', '--author=dependabot[bot] <d@example.com>');
    git('switch', 'main');
    git('commit', '--allow-empty', '--message=The fourth');
    git('switch', 'branch');
    git('merge', 'main', '--message=The merge');
    const commits = commitsOf('main', 'branch', folder);
    expect(commits.map(({ message }) => message.split('\n')[0])).toEqual(['The merge', 'The third', 'The second']);
    expect(commits.map(({ author, parents }) => [author, parents.length])).toEqual([
      ['Somebody', 2],
      ['dependabot[bot]', 1],
      ['Somebody', 1],
    ]);
    expect(commits[2]?.message.trim()).toBe('The second\n\nBecause of this,\nand of that.');
    expect(commits.flatMap(problemsOf)).toEqual([]);
    expect(commitsOf('branch', 'branch', folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
