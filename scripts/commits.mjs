// Whether each commit of a pull request says what it does, in a subject of less than 72 characters, and why, in a body.
// Merges and Dependabot's commits are as their makers make them.
// Usage: node scripts/commits.mjs <base> <head>
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const longest = 71;

/** What is wrong with a commit's message. */
export function problemsOf({ author, parents, message }) {
  if (parents.length > 1 || author === 'dependabot[bot]') return [];
  const [subject = '', ...rest] = message.trim().split('\n');
  // Who signed it off is no reason.
  const body = rest.filter((line) => !/^[A-Z][A-Za-z-]+-by: /.test(line));
  const length = [...subject].length;
  return [
    ...(length > longest ? [`the subject has ${length} characters, not at most ${longest}`] : []),
    ...(rest.length > 0 && rest[0] !== '' ? ['the subject is not one line with an empty one after it'] : []),
    ...(body.join('').trim() === '' ? ['no body says why'] : []),
  ];
}

/** The commits that `head` has and `base` has not. */
export function commitsOf(base, head, cwd) {
  const args = ['log', '-z', '--format=%h%n%an%n%P%n%B', `${base}..${head}`, '--'];
  const log = execFileSync('git', args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 28 });
  return log
    .split('\0')
    .filter((one) => one !== '')
    .map((one) => {
      const [id, author, parents, ...message] = one.split('\n');
      return { id, author, parents: parents.split(' '), message: message.join('\n') };
    });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , base = 'main', head = 'HEAD'] = process.argv;
  for (const commit of commitsOf(base, head)) {
    for (const problem of problemsOf(commit)) {
      console.error(`${commit.id} ${commit.message.split('\n')[0]}\n  ${problem}`);
      process.exitCode = 1;
    }
  }
}
