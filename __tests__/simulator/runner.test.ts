// The runner that the tests and the demo use must refuse and drop what GitHub's does; small actions show that it does.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ActionRun, runAction, runJob, startAction } from '../../simulator/runner.ts';

let folders: string;
beforeAll(() => {
  folders = mkdtempSync(join(tmpdir(), 'runner-test-'));
});
afterAll(() => rmSync(folders, { recursive: true }));

const manifest = `
name: fixture
inputs:
  region: { default: eu-west-1 }
  poll-interval: { default: 15 }
  dry run: { default: false }
  token: { default: "\${{ github.token }}" }
  old-name: { deprecationMessage: use region }
outputs: {}
runs: { using: node24, main: main.js, post: post.js }
`;

const preamble = `
import { appendFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
const output = (text) => appendFileSync(process.env.GITHUB_OUTPUT, text);
const state = (text) => appendFileSync(process.env.GITHUB_STATE, text);
const summary = (text) => appendFileSync(process.env.GITHUB_STEP_SUMMARY, text);
const later = (ms) => new Promise((done) => setTimeout(done, ms));
`;

/** A run of an action with this main and post. */
function action(main: string, post = '', run: Partial<ActionRun> = {}): ActionRun {
  const actionFolder = mkdtempSync(join(folders, 'action-'));
  writeFileSync(join(actionFolder, 'action.yml'), manifest);
  writeFileSync(join(actionFolder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(actionFolder, 'main.js'), preamble + main);
  writeFileSync(join(actionFolder, 'post.js'), preamble + post);
  return { inputs: {}, actionFolder, ...run };
}

const messages = (result: { annotations: { level: string; message: string }[] }, level = 'error') =>
  result.annotations.filter((one) => one.level === level).map((one) => one.message);

/** A killed process whose new parent doesn't collect it stays as a zombie. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('what a step is given', () => {
  test('inputs with the defaults of action.yml, and warnings for what it does not know', async () => {
    const main = `console.log(JSON.stringify(process.env))`;
    const result = await runAction(action(main, '', { inputs: { Region: 'us-east-1', regoin: 'x', 'old-name': 'y' } }));
    const env = JSON.parse(result.stdout);
    expect(env).toMatchObject({
      INPUT_REGION: 'us-east-1',
      'INPUT_POLL-INTERVAL': '15',
      INPUT_DRY_RUN: 'false',
      INPUT_TOKEN: expect.stringMatching(/^ghs_/),
    });
    expect(messages(result, 'warning')).toEqual([
      "Input 'old-name' has been deprecated with message: use region",
      "Unexpected input(s) 'regoin', valid inputs are ['region', 'poll-interval', 'dry run', 'token', 'old-name']",
    ]);
  });

  test("a clean environment, empty files and none of the parent's variables", async () => {
    process.env.RUNNER_TEST_LEAK = 'leaked';
    const main = `
      const { GITHUB_OUTPUT, GITHUB_STATE, GITHUB_ENV, GITHUB_PATH, GITHUB_STEP_SUMMARY, RUNNER_TEMP } = process.env;
      const sizes = [GITHUB_OUTPUT, GITHUB_STATE, GITHUB_ENV, GITHUB_PATH, GITHUB_STEP_SUMMARY].map((file) => readFileSync(file).length);
      const event = JSON.parse(readFileSync(process.env.GITHUB_EVENT_PATH));
      console.log(JSON.stringify({ env: process.env, sizes, event, cwd: process.cwd(), here: readdirSync('.'), node: process.version }));
      process.stdin.on('data', () => {}).on('end', () => console.error('stdin is closed'));`;
    const result = await runAction(
      action(main, '', { files: { 'build/manifest.json': '{}' }, env: { AWS_REGION: 'us-east-1' } }),
    );
    delete process.env.RUNNER_TEST_LEAK;
    const seen = JSON.parse(result.stdout);
    expect(seen.env.RUNNER_TEST_LEAK).toBeUndefined();
    expect(seen.env).toMatchObject({
      ...{ GITHUB_REPOSITORY: 'acme/images', GITHUB_RUN_ID: '4711', GITHUB_RUN_ATTEMPT: '1', GITHUB_JOB: 'share' },
      ...{ GITHUB_ACTION: '__self', GITHUB_SERVER_URL: 'https://github.com', AWS_REGION: 'us-east-1', CI: 'true' },
    });
    expect(seen.sizes).toEqual([0, 0, 0, 0, 0]);
    expect(seen.cwd).toBe(seen.env.GITHUB_WORKSPACE);
    expect(seen.here).toEqual(['build']);
    expect(seen.node).toMatch(/^v24\./);
    expect(seen.event.repository.full_name).toBe('acme/images');
    expect(result.stderr).toBe('stdin is closed\n');
    expect(result.seconds).toBeGreaterThan(0);
    // All of it is gone.
    expect(existsSync(seen.env.RUNNER_WORKSPACE)).toBe(false);
  });

  test('no input or saved state of 128 KiB or more: the process does not start', async () => {
    const started = `console.log('started')`;
    const [fits, tooLong] = await Promise.all([
      runAction(action(started, '', { inputs: { region: 'x'.repeat(131_000) } })),
      runAction(action('', started, { entry: 'post', state: { ledger: 'x'.repeat(131_072) } })),
    ]);
    expect(fits.stdout).toBe('started\n');
    expect(tooLong).toMatchObject({ conclusion: 'failure', exitCode: null, stdout: '' });
    expect(messages(tooLong)).toEqual([expect.stringMatching(/^An error occurred .*Argument list too long$/)]);
  });
});

describe('the files of a step', () => {
  test('outputs and state, in both syntaxes, the last value winning', async () => {
    const main = String.raw`
      output('ami-id=ami-1\nempty=\na=b<<c=d\n');
      output('ami-ids<<ghadelimiter_1\n{\n  "a": 1\n}\n\nghadelimiter_1\nami-id=ami-2\nnothing<<E\nE\n');
      state('ledger<<E\n[]\nE\n');`;
    const { outputs, state, jobOutputs, conclusion } = await runAction(action(main));
    expect(outputs).toEqual({ 'ami-id': 'ami-2', empty: '', a: 'b<<c=d', 'ami-ids': '{\n  "a": 1\n}\n', nothing: '' });
    expect(state).toEqual({ ledger: '[]' });
    expect(Object.keys(jobOutputs)).toEqual(['ami-id', 'a', 'ami-ids']);
    expect(conclusion).toBe('success');
  });

  test.each([
    ['a=1\\nb<<E\\nopen\\n', "Invalid value. Matching delimiter not found 'E'"],
    ['a=1\\nb<<E\\nopen', 'Invalid value. EOF marker missing new line.'],
    ['a=1\\nnonsense\\n', "Invalid format 'nonsense'"],
    ['a=1\\n<<E\\nE\\n', "Invalid format '<<E'. Name must not be empty and delimiter must not be empty"],
    ['a=1\\nb<<\\n', "Invalid format 'b<<'. Name must not be empty and delimiter must not be empty"],
    ['a=1\\n=2\\n', "Value cannot be null. (Parameter 'name')"],
  ])('malformed %s fails the step, which exits with 0', async (text, problem) => {
    const result = await runAction(action(`output('${text}');`));
    expect(result).toMatchObject({ conclusion: 'failure', exitCode: 0, outputs: { a: '1' } });
    expect(messages(result)).toEqual(["Unable to process file command 'output' successfully.", problem]);
  });

  test('a summary over 1 MiB is dropped with an error, and the step passes', async () => {
    const [fits, tooLong] = await Promise.all([
      runAction(action(`summary('x'.repeat(1024 * 1024))`)),
      runAction(action(`summary('x'.repeat(1024 * 1024 + 1))`)),
    ]);
    expect(fits.summary).toHaveLength(1024 * 1024);
    expect(tooLong).toMatchObject({ conclusion: 'success', summary: '' });
    expect(messages(tooLong)).toEqual([
      expect.stringMatching(/^\$GITHUB_STEP_SUMMARY upload aborted, .* 1024k, got 1024k/),
    ]);
  });

  test('they count also when the step is killed', async () => {
    const main = String.raw`output('ami-id=ami-1\n'); state('ledger=[1]\n'); summary('# so far'); console.log(process.env.RUNNER_WORKSPACE); console.log('written'); await later(60_000);`;
    const running = startAction(action(main));
    running.onLine((line) => {
      if (line === 'written') running.kill();
    });
    const result = await running.result;
    expect(result).toMatchObject({
      ...{ conclusion: 'failure', exitCode: null, signal: 'SIGKILL' },
      ...{ outputs: { 'ami-id': 'ami-1' }, state: { ledger: '[1]' }, summary: '# so far' },
    });
    expect(existsSync(result.stdout.split('\n')[0] ?? '')).toBe(false);
  });
});

describe('what a step prints', () => {
  test('groups and annotations, on both streams, with escapes undone', async () => {
    const main = `
      console.log('::group::Copying\\nsnap-1\\n::notice title=Plan%3A 3%2C all::go');
      console.log('::endgroup::');
      console.error('  ::warning file=a.js,line=1::100%25%0Asure');
      process.stdout.write('::debug::hidden\\r\\nnot ::error:: here\\rlone\\n::unknown::stays');
      await later(50);
      console.log(' ##[error]old syntax');
      process.exitCode = 1;`;
    const result = await runAction(action(main, '', { inputs: { region: 'r' } }));
    expect(result.annotations).toEqual([
      { level: 'notice', title: 'Plan: 3, all', message: 'go' },
      { level: 'warning', message: '100%\nsure' },
      { level: 'error', message: 'old syntax' },
    ]);
    const [header, body] = result.log.split('  token: ');
    expect(header).toBe(
      '▼ Run acme/share-encrypted-ami@v1\n  with:\n    region: r\n    poll-interval: 15\n    dry run: false\n  ',
    );
    const lines = body?.split('\n').slice(1) ?? [];
    // The order of the two streams is not fixed.
    expect(lines.filter((line) => !/100%|sure/.test(line))).toEqual([
      ...['▼ Copying', '  snap-1', '  Notice: go', 'not ::error:: here', 'lone', 'Error: old syntax', ''],
    ]);
    expect(result.log).toContain('  token: ***\n');
    expect(lines).toEqual(expect.arrayContaining(['Warning: 100%', 'sure']));
    expect(result.conclusion).toBe('failure');
  });

  test('ten annotations of a kind, each of 4,096 characters at most; the log has them all', async () => {
    const main = `
      for (let n = 1; n <= 12; n += 1) console.log('::error::' + n);
      console.log('::warning::' + 'x'.repeat(5000));`;
    const result = await runAction(action(main));
    expect(messages(result)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
    expect(result.log).toContain('Error: 12\n');
    expect(messages(result, 'warning')).toEqual(['x'.repeat(4096)]);
  });

  test('nothing is a command between stop-commands and its token', async () => {
    const main = `
      console.log('::stop-commands::t0ken\\n::error::quoted\\n::add-mask::quoted\\n::t0ken::\\n::error::real');`;
    const result = await runAction(action(main));
    expect(messages(result)).toEqual(['real']);
    expect(result.masks).toEqual([]);
    expect(result.log).toContain('::error::quoted\n');
  });

  test('masks: the log, annotations and summary hide them, and job outputs that hold one are dropped', async () => {
    const main = String.raw`
      console.log('before 999999999999');
      console.log('::add-mask::999999999999');
      console.log('::add-mask::first%0Asecond');
      console.log('in 999999999999999999999999, second: ' + Buffer.from('x 999999999999').toString('base64'));
      console.log('::error title=999999999999::no role in 999999999999');
      summary('account 999999999999');
      output('ami-ids={"999999999999":"ami-1"}\nencoded=' + Buffer.from('999999999999').toString('base64') + '\nami-id=ami-1\n');`;
    const result = await runAction(action(main, '', { env: { AWS_SECRET_ACCESS_KEY: 'sEcReT' }, secrets: ['ami-7'] }));
    expect(result.masks).toEqual(['999999999999', 'first\nsecond', 'first', 'second']);
    expect(result.log).toContain('AWS_SECRET_ACCESS_KEY: ***\n');
    expect(result.log).toContain('before 999999999999\nin ***, ***: eCA5***\nError: no role in ***\n');
    expect(result.annotations).toEqual([{ level: 'error', title: '***', message: 'no role in ***' }]);
    expect(result.summary).toBe('account ***');
    expect(Object.keys(result.outputs)).toEqual(['ami-ids', 'encoded', 'ami-id']);
    expect(result.jobOutputs).toEqual({ 'ami-id': 'ami-1' });
  });

  test('commands that GitHub switched off fail the step', async () => {
    const result = await runAction(action(`console.log('::set-env name=AWS_REGION::x')`));
    expect(result).toMatchObject({ conclusion: 'failure', exitCode: 0 });
    expect(messages(result)[1]).toMatch(/^The `set-env` command is disabled/);
  });
});

// One of these waits for ten seconds, the others beside it.
describe('the end of a step', () => {
  const stubborn = `
    const since = Date.now();
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => console.log(signal));
    setInterval(() => {}, 1000);
    console.log('ready');`;

  test('a cancel is SIGINT, then SIGTERM, then the whole tree is killed', async () => {
    const main = `
      import { spawn } from 'node:child_process';
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
      console.log('child ' + child.pid);${stubborn}`;
    const times: Record<string, number> = {};
    const running = startAction(
      action(main, '', {
        cancelPatience: { interruptMs: 600, terminateMs: 300 },
        onLine: (line) => {
          times[line] = performance.now();
        },
      }),
    );
    running.onLine((line) => {
      if (line === 'ready') running.cancel();
    });
    const result = await running.result;
    const end = performance.now();
    expect(result).toMatchObject({ conclusion: 'cancelled', exitCode: null, signal: 'SIGKILL' });
    expect(Math.abs((times.SIGTERM ?? 0) - (times.SIGINT ?? 0) - 600)).toBeLessThan(250);
    expect(end - (times.SIGTERM ?? 0)).toBeGreaterThan(200);
    const child = Number(/child (\d+)/.exec(result.stdout)?.[1]);
    expect(isRunning(child)).toBe(false);
  });

  test.concurrent('the times are the runner’s own unless named', async () => {
    const result = await runAction(action(stubborn, '', { signals: 'cancel' }));
    expect(result.stdout).toBe('ready\nSIGINT\nSIGTERM\n');
    expect(result.seconds).toBeGreaterThan(10);
    expect(result.seconds).toBeLessThan(12);
  });

  test.concurrent('who cleans up on SIGINT ends in peace, and is cancelled all the same', async () => {
    const main = `
      process.on('SIGINT', () => { output('cleaned=yes\\n'); process.exit(0); });
      setInterval(() => {}, 1000);
      console.log('ready');`;
    const result = await runAction(action(main, '', { signals: 'cancel' }));
    expect(result).toMatchObject({ conclusion: 'cancelled', exitCode: 0, signal: null, outputs: { cleaned: 'yes' } });
    expect(messages(result)).toEqual(['The operation was canceled.']);
  });

  test.concurrent('a job can be cancelled from outside', async () => {
    const cancel = new AbortController();
    const job = await runJob(
      action(`console.log('ready'); await later(60_000);`, `console.log('cleaned up')`, {
        signals: cancel.signal,
        onLine: (line) => line === 'ready' && cancel.abort(),
      }),
    );
    expect([job.main.conclusion, job.post.conclusion, job.post.stdout]).toEqual([
      'cancelled',
      'success',
      'cleaned up\n',
    ]);
  });

  test.concurrent.each([
    ['failure', 'process.exit(3)', {}],
    ['cancelled', `console.log('x'); await later(60_000)`, { signals: 'cancel' }],
    ['success', '', {}],
  ] as const)('after a %s, post runs with the state that main saved', async (conclusion, end, run) => {
    const main = String.raw`
      state('ledger=grant-1\n'); writeFileSync('left', '');
      appendFileSync(process.env.GITHUB_ENV, 'EXPORTED=yes\n'); console.log('::add-mask::grant'); ${end}`;
    const post = `console.log(process.env.STATE_ledger, existsSync('left'), process.env.EXPORTED, process.env.INPUT_REGION)`;
    const job = await runJob(action(main, post, run));
    expect(job.main.conclusion).toBe(conclusion);
    expect(job.post).toMatchObject({ conclusion: 'success', stdout: 'grant-1 true yes eu-west-1\n' });
    expect(job.post.log).toBe('Post job cleanup.\n***-1 true yes eu-west-1\n');
    expect(job.main.exported.env).toEqual({ EXPORTED: 'yes' });
  });
});
