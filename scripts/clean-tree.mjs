// Fails when the gate left the tree other than committed: stale dist/, tables or formatting. New files count.
import { execFileSync } from 'node:child_process';

const changes = execFileSync('git', ['status', '--porcelain', '--untracked-files=all'], { encoding: 'utf8' });
if (changes !== '') {
  console.error(`The tree is not clean; commit what was generated:\n${changes}`);
  process.exitCode = 1;
}
