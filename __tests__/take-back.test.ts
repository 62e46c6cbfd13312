import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fanOut, procedure, sourceAccount, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import type { Files } from '../src/host.ts';
import { openLedger, savedLedger } from '../src/ledger.ts';
import { runAction, startAction, startSimulator } from './in-process.ts';

/* What post does with what main left, whatever became of that since. */

const name = '/golden/latest';
const former = 'ami-00000000000000001';
const inputs = { 'ssm-parameter': name };

/** A run that is killed when it has shared, or, with `setting`, when it has set an SSM parameter. */
async function killed({ setting }: { setting: boolean }) {
  const shared = fanOut({
    policies: ['target-ssm-parameter'],
    target: { parameters: { [name]: { value: former, dataType: 'aws:ec2:image' } } },
    regions: [targetRegion, 'us-west-2'],
    targets: [targetAccount],
  });
  const simulator = await startSimulator(shared.scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const run = { inputs: { ...shared.inputs, ...inputs }, env: simulator.env };
  const action = startAction(run);
  simulator.onCall(({ action: called, mutating, account }) => {
    const last = setting ? called === 'PutParameter' : called === 'CopySnapshot' && account !== sourceAccount;
    if (last && mutating) action.kill();
  });
  const { state, temp } = await action.result;
  const post = async (changed: { state?: Record<string, string>; temp?: Record<string, string> } = {}) => {
    const ran = await runAction({ ...run, entry: 'post', state, temp, ...changed });
    await simulator.clock.sleep(1000);
    return { conclusion: ran.conclusion, told: ran.annotations.map(({ level, message }) => `${level}: ${message}`) };
  };
  const values = () =>
    [...(simulator.world.accounts[targetAccount]?.regions.values() ?? [])].map(({ parameters }) => {
      const parameter = parameters.get(name);
      return parameter?.coming?.value ?? parameter?.value;
    });
  return { simulator, before, state, temp, post, values };
}

/** The same state with so much more in it that a file is needed; what it holds of parameters is all in the file. */
function swollen(state: Record<string, string>): { state: Record<string, string>; temp: Record<string, string> } {
  const temp: Record<string, string> = {};
  const files: Files = {
    temp: '/temp',
    read: (path) => temp[path] ?? '',
    write: (path, text) => {
      temp[path] = String(text);
    },
  };
  const { state: left } = savedLedger((entry) => state[entry] ?? '', files);
  if (left === undefined) throw new Error('nothing was left');
  const more = Array.from({ length: 300 }, (_, index) => ({
    place: `${targetAccount}/${targetRegion}`,
    name: `/golden/${index}`,
    before: { value: randomBytes(2000).toString('hex'), dataType: 'text' },
    amiId: 'ami-00000000000000002',
  }));
  const saved: Record<string, string> = {};
  openLedger((entry, value) => {
    saved[entry] = value;
  }, files).write({ ...left, promotions: [...left.promotions, ...more] });
  return {
    state: saved,
    temp: Object.fromEntries(Object.entries(temp).map(([path, text]) => [basename(path), text])),
  };
}

describe('post', () => {
  test('puts a parameter back to its version, which saved state has, and the value it has not', async () => {
    const { simulator, state, post, values } = await killed({ setting: true });
    expect(JSON.stringify(state)).not.toContain(former);
    expect(new Set(values()).size).toBeGreaterThan(1);
    expect(await post()).toEqual({ conclusion: 'success', told: [] });
    expect(new Set(values())).toEqual(new Set([former]));
    await simulator.close();
  });

  test('tells of a parameter whose former version is not there any more', async () => {
    const { simulator, post } = await killed({ setting: true });
    for (const { parameters } of simulator.world.accounts[targetAccount]?.regions.values() ?? []) {
      await simulator.clock.sleep(1000);
      const parameter = parameters.get(name);
      if (parameter?.coming !== undefined) parameter.version = 100;
    }
    const { conclusion, told } = await post();
    expect(conclusion).toBe('success');
    expect(told.join()).toMatch(
      /warning: left behind: the SSM parameter \/golden\/latest in .*ParameterVersionNotFound/,
    );
    await simulator.close();
  });

  test('touches nothing where the environment has the credentials of another account by now', async () => {
    const shared = procedure({ ambient: { account: sourceAccount, role: 'ami-source' } });
    const simulator = await startSimulator(shared.scenario);
    const run = { inputs: { ...shared.inputs, 'source-role-arn': '' }, env: simulator.env };
    const action = startAction(run);
    simulator.onCall(({ action: called, mutating }) => {
      if (called === 'CreateTags' && mutating) action.kill();
    });
    const { state, temp } = await action.result;
    const other = await startSimulator(procedure({ ambient: { account: targetAccount } }).scenario);
    const ran = await runAction({ ...run, env: other.env, entry: 'post', state, temp });
    expect(ran.annotations).toMatchObject([
      {
        level: 'warning',
        message: expect.stringMatching(
          `the credentials in the environment are of account ${targetAccount} now, and the run's were of ${sourceAccount}`,
        ),
      },
    ]);
    expect(other.calls.filter(({ mutating }) => mutating)).toEqual([]);
    await Promise.all([simulator.close(), other.close()]);
  });

  test('acts on the file that main wrote, and on no other', async () => {
    const { simulator, before, state, post, values } = await killed({ setting: true });
    const { state: large, temp } = swollen(state);
    const [file = ''] = Object.keys(temp);
    const set = values();
    const theirs = { [file]: (temp[file] ?? '').replaceAll(name, '/theirs') };
    for (const changed of [theirs, {}]) {
      const { conclusion, told } = await post({ state: large, temp: changed });
      expect(conclusion).toBe('success');
      expect(told).toEqual([
        expect.stringMatching(
          /^warning: some of what the run has to undo could not be read, and stays as it is: the SSM parameters: /,
        ),
      ]);
      expect(values()).toEqual(set);
    }
    // What else was left is undone.
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(await post({ state: large, temp })).toEqual({ conclusion: 'success', told: [] });
    expect(new Set(values())).toEqual(new Set([former]));
    await simulator.close();
  });

  test('takes access back where the targets or the parameters cannot be read', async () => {
    for (const part of ['targets', 'promotions', 'shares']) {
      const { simulator, before, state, post } = await killed({ setting: false });
      expect(simulator.snapshotOfState(sourceAccount)).not.toEqual(before);
      const head = JSON.parse(state.ledger ?? '');
      head.parts[part] = { entries: ['ledger-gone'] };
      const { conclusion, told } = await post({ state: { ...state, ledger: JSON.stringify(head) } });
      expect([conclusion, told.length]).toEqual(['success', 1]);
      expect(told[0]).toMatch(/^warning: some of what the run has to undo could not be read/);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      await simulator.close();
    }
  });

  test('names all that it knows where no session is to be had any more', async () => {
    const { simulator, state, post } = await killed({ setting: true });
    const { shares, run } = JSON.parse(state.ledger ?? '').parts;
    simulator.addFault({ kind: 'token-endpoint', status: 401 });
    const { conclusion, told } = await post();
    expect(conclusion).toBe('success');
    // What one cause keeps from being taken back is one message.
    expect(told).toHaveLength(1);
    for (const what of [
      `${shares.plain[0].resources[0]} in ${sourceAccount}/us-east-1 may still be shared with ${targetAccount}`,
      `access by the lease ${run.plain.leaseId} may still be on ${run.plain.grantKeys[0]}`,
      `share-encrypted-ami:lease=${run.plain.leaseId} may be in ${targetAccount}/${targetRegion}, ${targetAccount}/us-west-2`,
      `the SSM parameter ${name} in ${targetAccount}/us-west-2`,
      'What to do: run the job again',
    ])
      expect(told[0]).toContain(what);
    await simulator.close();
  });

  test.each(['', 'eu-west-1'])(
    'takes back where the run was, whatever AWS_REGION is by now: %s',
    async (AWS_REGION) => {
      const shared = procedure();
      const simulator = await startSimulator(shared.scenario);
      const before = simulator.snapshotOfState(sourceAccount);
      const inputs = { ...shared.inputs, 'source-region': '' };
      const action = startAction({ inputs, env: { ...simulator.env, AWS_REGION: 'us-east-1' } });
      simulator.onCall(({ action: called, account, mutating }) => {
        if (called === 'CopySnapshot' && mutating && account !== sourceAccount) action.kill();
      });
      const { state, temp } = await action.result;
      expect(simulator.snapshotOfState(sourceAccount)).not.toEqual(before);
      const ran = await runAction({ inputs, env: { ...simulator.env, AWS_REGION }, entry: 'post', state, temp });
      expect(ran.annotations).toEqual([]);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      await simulator.close();
    },
  );

  test('puts parameters back where only these and the targets can be read', async () => {
    const { simulator, state, post, values } = await killed({ setting: true });
    const head = JSON.parse(state.ledger ?? '');
    head.parts.run = { plain: null };
    const { conclusion, told } = await post({ state: { ...state, ledger: JSON.stringify(head) } });
    expect([conclusion, told.length]).toEqual(['success', 1]);
    expect(new Set(values())).toEqual(new Set([former]));
    await simulator.close();
  });

  test('starts with any state, and ends well with a warning', async () => {
    const { simulator, state, post } = await killed({ setting: true });
    const whole = state.ledger ?? '';
    const damaged = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.json(),
      fc.nat(whole.length - 1).map((at) => whole.slice(0, at) || ' '),
      fc.constant(whole.replace('"format":2', '"format":3')),
      fc.json().map((value) => `{"format":2,"parts":{"run":{"plain":${value}},"targets":{"plain":${value}}}}`),
      fc.json().map((value) => `{"format":2,"parts":{"promotions":${value}}}`),
    );
    await fc.assert(
      fc.asyncProperty(damaged, async (ledger) => {
        const { conclusion, told } = await post({ state: { ledger } });
        expect(conclusion).toBe('success');
        expect(told).not.toEqual([]);
        expect(told.every((one) => one.startsWith('warning: '))).toBe(true);
      }),
      { numRuns: 40 },
    );
    await simulator.close();
  });
});
