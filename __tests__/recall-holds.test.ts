import { describe, expect, test } from '@jest/globals';
import { sourceAccount, sourceRegion, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import { regionOf, type SimImage } from '../simulator/world.ts';
import { runAction, type Simulator, settledMs, startAction } from './in-process.ts';
import {
  accounts,
  bake,
  both,
  first,
  killedAtCall,
  lookAt,
  mark,
  markOf,
  plainId,
  recall,
  runOf,
  second,
  shared,
} from './recall-case.ts';
import { addTemplate, uses } from './uses.ts';

const here = [targetAccount, targetRegion] as const;
const one = { 'target-accounts': targetAccount };
const friend = '333333333333';

/** The second bake's AMI in the first target. */
function copyIn(simulator: Simulator): { image: SimImage; id: string } {
  const image = lookAt(simulator, here).of(second);
  if (image === undefined) throw new Error('no AMI');
  return { image, id: image.data.ImageId ?? '' };
}

const sourceImage = (simulator: Simulator) => regionOf(simulator.world, sourceAccount, sourceRegion).images.get(second);

/** Writes a record as somebody with the right to set parameters may. */
function forge(simulator: Simulator, id: string, record: object): void {
  const text = JSON.stringify({ reason: '', run: '', at: new Date().toISOString(), how: 'disable', ...record });
  lookAt(simulator, here).here.parameters.set(`/share-encrypted-ami/recalled/${id}/1`, {
    ...{ name: `/share-encrypted-ami/recalled/${id}/1`, value: `abc 1/1 ${text}`, type: 'String', dataType: 'text' },
    ...{ version: 1, tags: [], history: [] },
  });
}

/** A run that is killed as soon as AWS has done what it calls. */
async function killedAt(simulator: Simulator, run: ReturnType<typeof runOf>, called: string): Promise<void> {
  await simulator.clock.sleep(settledMs);
  const running = startAction(run);
  simulator.onCall(({ client, action }) => {
    if (client === running.client && action === called) running.kill();
  });
  await running.result.catch(() => undefined);
}

describe('a restore gives back only what a recall took', () => {
  test('a team that disabled an AMI itself keeps it disabled', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    image.data.State = 'disabled';
    expect((await recall(given, simulator)).said).toBe('');
    const back = await recall(given, simulator, { restore: 'true' });
    expect([back.said, image.data.State, markOf(image)]).toEqual(['', 'disabled', undefined]);
    expect(back.stdout).toContain('no recall has disabled it, so it stays disabled');
    const [, other = here] = both;
    expect(lookAt(simulator, other).of(second)?.data.State).toBe('available');
    await simulator.close();
  });

  test('who was removed since a recall that only deprecated stays removed', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    const before = image.data.DeprecationTime;
    image.launch.add(friend);
    expect((await recall(given, simulator, { ...one, how: 'deprecate' })).said).toBe('');
    image.launch.delete(friend);
    // A later recall that disables it knows of the first one's time.
    await simulator.clock.sleep(3 * 86_400_000);
    expect((await recall(given, simulator, { ...one, how: 'deprecate' })).said).toBe('');
    expect((await recall(given, simulator, { ...one, how: 'disable' })).said).toBe('');
    expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
    expect([image.data.State, [...image.launch], image.data.DeprecationTime]).toEqual(['available', [], before]);
    await simulator.close();
  });

  test('who was removed before a killed recall could drop the rest, or since a team enabled it, stays removed', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    image.launch.add(friend);
    await killedAt(simulator, runOf(given, simulator, one), 'DisableImage');
    image.data.State = 'available';
    image.launch.delete(friend);
    expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
    expect([image.data.State, markOf(image), [...image.launch]]).toEqual(['available', undefined, []]);

    image.launch.add(friend);
    expect((await recall(given, simulator, one)).said).toBe('');
    await simulator.clock.sleep(86_400_000);
    image.data.State = 'available';
    expect((await recall(given, simulator, one)).said).toBe('');
    expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
    expect([image.data.State, [...image.launch]]).toEqual(['available', []]);
    await simulator.close();
  });

  test('killed at any call of a restore, and recalled again, nothing is lost', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    image.launch.add(friend);
    const restoring = async (killAt = Number.POSITIVE_INFINITY) => {
      expect((await recall(given, simulator, one)).said).toBe('');
      await simulator.clock.sleep(86_400_000);
      const count = await killedAtCall(simulator, runOf(given, simulator, { ...one, restore: 'true' }), killAt);
      expect((await recall(given, simulator, one)).said).toBe('');
      expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
      expect([killAt, image.data.State, [...image.launch]]).toEqual([killAt, 'available', [friend]]);
      return count;
    };
    const all = await restoring();
    for (let at = 2; at <= all; at += process.env.NIGHTLY === 'true' ? 1 : 4) await restoring(at);
    await simulator.close();
  });

  test('killed before it deprecates, and run again hours later, the time before comes back', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    const before = image.data.DeprecationTime;
    // From then on, the only parameter that is written is the record.
    for (const inputs of [{ how: 'deprecate' }, { restore: 'true' }])
      expect((await recall(given, simulator, { ...one, ...inputs })).said).toBe('');
    await killedAt(simulator, runOf(given, simulator, { ...one, how: 'deprecate' }), 'PutParameter');
    await simulator.clock.sleep(3 * 3_600_000);
    expect((await recall(given, simulator, { ...one, how: 'deprecate' })).said).toBe('');
    expect(image.data.DeprecationTime).not.toBe(before);
    expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
    expect(image.data.DeprecationTime).toBe(before);
    await simulator.close();
  });

  test('what a killed restore had yet to give back is not lost by another recall that only deprecates', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    for (const later of [[], [{ how: 'disable' }]]) {
      image.launch.add(friend);
      expect((await recall(given, simulator, one)).said).toBe('');
      await simulator.clock.sleep(3_600_000);
      await killedAt(simulator, runOf(given, simulator, { ...one, restore: 'true' }), 'EnableImage');
      expect([image.data.State, image.launch.size]).toEqual(['available', 0]);
      await simulator.clock.sleep(3_600_000);
      for (const inputs of [{ how: 'deprecate' }, ...later, { restore: 'true' }])
        expect((await recall(given, simulator, { ...one, ...inputs })).said).toBe('');
      expect([image.data.State, [...image.launch]]).toEqual(['available', [friend]]);
    }
    await simulator.close();
  });

  test('an account that was closed since keeps no other from what it had', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    const others = Array.from({ length: 9 }, (_, at) => `33333333333${at}`);
    const [closed = ''] = others;
    for (const account of others) image.launch.add(account);
    expect((await recall(given, simulator, one)).said).toBe('');
    simulator.addFault({
      ...{ kind: 'refusal', action: 'ModifyImageAttribute', holds: closed, code: 'InvalidAMIAttributeItemValue' },
      message: `Invalid attribute item value "${closed} " for userId item type.`,
    });
    const { said, stdout } = await recall(given, simulator, { ...one, restore: 'true' });
    expect([said, [...image.launch].sort(), markOf(image)]).toEqual(['', others.slice(1), undefined]);
    expect(stdout).toContain(`no more by ${closed}, which AWS does not know any more`);
    await simulator.close();
  });

  test('a time of deprecation that somebody gave it since stays', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    expect((await recall(given, simulator, { ...one, how: 'deprecate' })).said).toBe('');
    const since = new Date(simulator.clock.now() + 5 * 86_400_000).toISOString();
    image.data.DeprecationTime = since;
    expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
    expect(image.data.DeprecationTime).toBe(since);
    await simulator.close();
  });

  test('a record without the mark on the AMI is not believed, nor one that is none, nor is anything made public', async () => {
    const { given, simulator } = await shared();
    const { image, id } = copyIn(simulator);
    const stranger = { launchPermissions: [{ UserId: '666666666666' }], state: 'available' };
    forge(simulator, id, stranger);
    const unmarked = await recall(given, simulator, { ...one, restore: 'true' });
    expect(unmarked.said).toMatch(/it bears no tag share-encrypted-ami:recalled, so the record .* is not believed/);
    expect([image.launch.size, markOf(sourceImage(simulator))]).toEqual([0, undefined]);

    image.data.State = 'disabled';
    image.data.Tags.push({ Key: mark, Value: 'by hand' });
    for (const bad of [
      { launchPermissions: [{ UserId: '6666' }] },
      { launchPermissions: [{ Group: 'ec2-bundled-images' }] },
      { launchPermissions: [{ OrganizationArn: 'arn:aws:iam::666666666666:root' }] },
      { launchPermissions: [{ UserId: '666666666666', Group: 'all' }] },
      { at: 'yesterday' },
      { how: 'rename' },
      { deprecation: { before: 'soon', at: 'now' } },
      { state: undefined },
    ]) {
      forge(simulator, id, { ...stranger, ...bad });
      const { said } = await recall(given, simulator, { ...one, restore: 'true' });
      expect([bad, said]).toEqual([
        bad,
        expect.stringMatching(/it stays disabled, for no whole record .* enable-image/),
      ]);
    }
    forge(simulator, id, { ...stranger, launchPermissions: [{ Group: 'all' }, { UserId: friend }] });
    const given2 = await recall(given, simulator, { ...one, restore: 'true' });
    expect([given2.said, [...image.launch]]).toEqual(['', [friend]]);
    expect(given2.summary).toMatch(
      /launched again by `333333333333`; it was public, which is for you to repeat: aws ec2/,
    );
    await simulator.close();
  });

  test('killed at any call between two recalls, the time before both of them comes back', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    const before = image.data.DeprecationTime;
    const disabling = async (killAt = Number.POSITIVE_INFINITY) => {
      expect((await recall(given, simulator, { ...one, how: 'deprecate' })).said).toBe('');
      const count = await killedAtCall(simulator, runOf(given, simulator, one), killAt);
      expect((await recall(given, simulator, one)).said).toBe('');
      expect(image.data.State).toBe('disabled');
      expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
      const { records } = lookAt(simulator, here);
      expect([killAt, image.data.State, image.data.DeprecationTime, records]).toEqual([
        killAt,
        'available',
        before,
        [],
      ]);
      return count;
    };
    const all = await disabling();
    expect(all).toBeGreaterThan(20);
    for (let at = 2; at <= all; at += process.env.NIGHTLY === 'true' ? 1 : 7) await disabling(at);
    await simulator.close();
  });

  test('of two recalls at once, neither loses what the other wrote', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    for (const lag of [0, 200, 400, 600, 800, 1000]) {
      image.launch.add(friend);
      await simulator.clock.sleep(settledMs);
      const runs = [0, lag].map(async (ms) => {
        await simulator.clock.sleep(ms);
        return runAction(runOf(given, simulator, one));
      });
      for (const { conclusion } of await Promise.all(runs)) expect(conclusion).toBe('success');
      expect((await recall(given, simulator, { ...one, restore: 'true' })).said).toBe('');
      expect([lag, image.data.State, [...image.launch]]).toEqual([lag, 'available', [friend]]);
    }
    await simulator.close();
  });
});

describe('one failure leaves all else going', () => {
  test('a source role that nobody may assume', async () => {
    const { given, simulator } = await shared();
    const result = await recall(given, simulator, {
      'source-role-arn': `arn:aws:iam::${sourceAccount}:role/no-such`,
    });
    expect(result.conclusion).toBe('failure');
    expect(result.said).toMatch(/Assuming the source role, without which the source AMIs get no mark/);
    expect(result.targets.map(({ status }) => status)).toEqual(['disabled', 'disabled']);
    await simulator.close();
  });

  test('a target that could not be restored keeps the mark on the source AMI, whatever else is restored', async () => {
    const { given, simulator } = await shared();
    const inputs = { 'include-source': 'true' };
    expect((await recall(given, simulator, inputs)).said).toBe('');
    const roles = simulator.world.accounts[accounts[1] ?? '']?.roles;
    const role = roles?.get('ami-recall-target');
    if (role === undefined) throw new Error('no role');
    roles?.delete('ami-recall-target');
    const half = await recall(given, simulator, { ...inputs, restore: 'true' });
    expect(half.conclusion).toBe('failure');
    expect([sourceImage(simulator)?.data.State, markOf(sourceImage(simulator))]).toEqual([
      'available',
      expect.stringContaining('CVE'),
    ]);
    roles?.set('ami-recall-target', role);
    const whole = await recall(given, simulator, { ...inputs, restore: 'true' });
    expect([whole.said, markOf(sourceImage(simulator))]).toEqual(['', undefined]);
    await simulator.close();
  });

  test('one kind of use that cannot be read hides no other, and keeps no launch template of ours', async () => {
    const { given, simulator } = await shared();
    const { image, id } = copyIn(simulator);
    const [[, use] = []] = uses;
    use?.(lookAt(simulator, here).here, image, simulator.clock.now());
    const policies = simulator.world.accounts[targetAccount]?.roles.get('ami-recall-target')?.policies;
    const denied = { Effect: 'Deny' as const, Action: ['autoscaling:*'], Resource: '*' };
    policies?.push({ Version: '2012-10-17', Statement: [denied] });
    const { said, inUse, conclusion } = await recall(given, simulator, { ...one, 'launch-template': '' });
    expect([conclusion, said.split('\n').length]).toEqual(['failure', 1]);
    expect(said).toMatch(/Looking for what Auto Scaling launches: .*autoscaling:Describe/);
    expect(inUse.map(({ by }) => by)).toEqual(['i-0123456789abcdef0']);
    expect(lookAt(simulator, here).template?.versions.map(({ data }) => data.ImageId)).not.toContain(id);
    await simulator.close();
  });

  test('an AMI whose evidence cannot be read has failed, and keeps the mark on the source AMI', async () => {
    const { given, simulator } = await shared();
    const byCopy = { 'ami-id': plainId, route: 'copy', lineage: '', 'ssm-parameter': '', 'launch-template': '' };
    expect((await bake(given, simulator, { ...byCopy, 'launch-template-default': 'false' })).said).toBe('');
    const inputs = { ...one, 'ami-id': plainId };
    expect((await recall(given, simulator, inputs)).said).toBe('');
    const policies = simulator.world.accounts[targetAccount]?.roles.get('ami-recall-target')?.policies;
    const denied = { Effect: 'Deny' as const, Action: ['ec2:GetImageAncestry'], Resource: '*' };
    policies?.push({ Version: '2012-10-17', Statement: [denied] });
    const half = await recall(given, simulator, { ...inputs, restore: 'true' });
    const amiId = lookAt(simulator, here).of(plainId)?.data.ImageId;
    expect(half.targets).toMatchObject([{ amiId, sourceAmi: plainId, status: 'failed' }]);
    const source = regionOf(simulator.world, sourceAccount, sourceRegion).images.get(plainId);
    expect([half.conclusion, markOf(source)]).toEqual(['failure', expect.stringContaining('CVE')]);
    policies?.pop();
    const whole = await recall(given, simulator, { ...inputs, restore: 'true' });
    expect([whole.said, markOf(source)]).toEqual(['', undefined]);
    await simulator.close();
  });

  test('a source AMI that was taken back, too, is not forgotten by a restore', async () => {
    const { given, simulator } = await shared();
    expect((await recall(given, simulator, { 'include-source': 'true' })).said).toBe('');
    const back = await recall(given, simulator, { restore: 'true' });
    expect(back.said).toMatch(new RegExp(`${second} is disabled, and stays marked as recalled.*include-source: true`));
    expect([back.conclusion, markOf(sourceImage(simulator))]).toEqual(['success', expect.stringContaining('CVE')]);
    await simulator.close();
  });

  test('an ID that is nowhere is a mistake', async () => {
    const { given, simulator } = await shared();
    const wrong = 'ami-0123456789abcdef0';
    const result = await recall(given, simulator, { 'ami-id': `${second},${wrong}` });
    expect(result.conclusion).toBe('failure');
    expect(result.said).toMatch(new RegExp(`neither ${wrong} nor a copy of it is there`));
    expect(result.targets.map(({ status }) => status)).toEqual(['disabled', 'disabled']);
    // So is a source AMI among those of targets, though its copies are there.
    const copies = both.map((place) => lookAt(simulator, place).of(second)?.data.ImageId ?? '');
    const named = { 'ami-id': '', 'target-ami-ids': [...copies, second].join(',') };
    const { said, conclusion } = await recall(given, simulator, named);
    expect([said, conclusion]).toEqual([expect.stringContaining(`${second} is in none of the targets`), 'failure']);
    await simulator.close();
  });
});

test('an AMI whose record cannot be written stays, with the command that takes it back without one', async () => {
  const { given, simulator } = await shared();
  for (const account of accounts)
    simulator.addFault({
      ...{ kind: 'refusal', action: 'PutParameter', account, status: 400 },
      ...{ code: 'AccessDeniedException', message: 'User is not authorized to perform: ssm:PutParameter' },
    });
  const { said, targets, conclusion } = await recall(given, simulator);
  expect([conclusion, targets.map(({ status }) => status)]).toEqual(['failure', ['failed', 'failed']]);
  for (const [account, region] of both) {
    const { data } = lookAt(simulator, [account, region]).of(second) ?? {};
    expect(data?.State).toBe('available');
    expect(said).toContain(`aws ec2 disable-image --region ${region} --image-id ${data?.ImageId}`);
  }
  expect(said).toMatch(/Writing down what it loses, which a restore takes: PutParameter in /);
  await simulator.close();
});

test.each([
  ['by 50 tags', /TagLimitExceeded: .*What to do: take a tag off it/],
  ['by a denial', /UnauthorizedOperation.*What to do: .*ec2:CreateTags/],
])('an AMI that cannot be marked, %s, is taken back all the same, and comes back once it can', async (why, words) => {
  const { given, simulator } = await shared();
  const images = both.map((place) => lookAt(simulator, place).of(second));
  const tags = Array.from({ length: 50 }, (_, index) => ({ Key: `team-${index}`, Value: 'x' }));
  const former = images.map((image) => image?.data.Tags ?? []);
  for (const image of images) {
    image?.launch.add('333333333333');
    const own = image?.data.Tags ?? [];
    if (image !== undefined && why === 'by 50 tags') image.data.Tags = [...own, ...tags].slice(0, 50);
  }
  if (why === 'by a denial')
    for (const account of accounts)
      simulator.addFault({
        ...{ kind: 'refusal', action: 'CreateTags', account, times: 1, status: 403 },
        ...{ code: 'UnauthorizedOperation', message: 'You are not authorized to perform this operation.' },
      });
  const { said, targets, conclusion } = await recall(given, simulator);
  expect(conclusion).toBe('failure');
  expect(said).toMatch(words);
  expect(said).toMatch(/bears no mark of the recall/);
  expect(targets.map(({ status, error }) => [status, words.test(error ?? '')])).toEqual(
    both.map(() => ['disabled', true]),
  );
  expect(images.map((image) => image?.data.State)).toEqual(['disabled', 'disabled']);
  // What only a record says is not believed.
  const early = await recall(given, simulator, { restore: 'true' });
  expect(early.said).toMatch(/is not believed.*recall it again first, if it could not be marked/);
  for (const [index, image] of images.entries()) if (image !== undefined) image.data.Tags = former[index] ?? [];
  expect((await recall(given, simulator)).said).toBe('');
  const { said: restored } = await recall(given, simulator, { restore: 'true' });
  expect(restored).toBe('');
  expect(images.map((image) => [image?.data.State, image?.launch.has('333333333333')])).toEqual(
    both.map(() => ['available', true]),
  );
  await simulator.close();
});

test('what was done is told, whatever ends the run', async () => {
  const { given, simulator } = await shared();
  const [, [account] = []] = both;
  simulator.addFault({ kind: 'hang', action: 'DisableImage', account: account ?? '' });
  const late = await recall(given, simulator, { 'timeout-minutes': '5' });
  expect(late.conclusion).toBe('failure');
  expect(late.targets.map(({ status }) => status)).toEqual(['disabled', 'failed']);
  expect(late.said).toMatch(/Taking back \(how: disable\) ami-\S+: the run took longer than timeout-minutes \(5\)/);
  expect(late.summary).toMatch(/❌ 1 AMI taken back[\s\S]*\/golden\/latest` holds/);

  const running = startAction(runOf(given, simulator, {}));
  simulator.onCall(({ client, action }) => {
    if (client === running.client && action === 'DescribeSnapshots') running.cancel();
  });
  const { conclusion, outputs, annotations } = await running.result;
  expect([conclusion, JSON.parse(outputs.targets ?? '')]).toEqual([
    'cancelled',
    both.map(([own]) => expect.objectContaining({ account: own, amiId: null, status: 'failed' })),
  ]);
  expect(annotations.map(({ message }) => message).join('\n')).toContain('the run was cancelled (SIGINT)');
  await simulator.close();
});

test('what was deregistered leaves no record, and a restore says that it is gone', async () => {
  const { given, simulator } = await shared();
  expect((await recall(given, simulator)).said).toBe('');
  const [, other = here] = both;
  expect(lookAt(simulator, other).records).not.toEqual([]);
  const gone = await recall(given, simulator, { how: 'deregister' });
  expect([gone.said, gone.targets.map(({ status }) => status)]).toEqual(['', ['deregistered', 'deregistered']]);
  for (const place of both) expect(lookAt(simulator, place).records).toEqual([]);
  const back = await recall(given, simulator, { restore: 'true' });
  expect([back.said, markOf(sourceImage(simulator))]).toEqual(['', undefined]);
  expect(back.stdout).toContain(`no target has a copy of ${second}: one that was deregistered comes back only by`);
  await simulator.close();
});

test('what is disabled already is not called deprecated', async () => {
  const { given, simulator } = await shared();
  expect((await recall(given, simulator)).said).toBe('');
  const again = await recall(given, simulator, { how: 'deprecate' });
  expect([again.said, again.targets.map(({ status }) => status)]).toEqual(['', ['disabled', 'disabled']]);
  expect(again.stdout).toMatch(/is disabled already: nobody launches it any more/);
  await simulator.close();
});

describe('what names an AMI', () => {
  test('a parameter of ours below our own path moves; what only bears our tag does not', async () => {
    const { given, simulator } = await shared({}, '*');
    const { id } = copyIn(simulator);
    const { parameters } = lookAt(simulator, here).here;
    const set = parameters.get('/golden/latest');
    if (set === undefined) throw new Error('no parameter');
    const made = { ...structuredClone(set), name: '/share-encrypted-ami/golden' };
    parameters.set(made.name, made);
    parameters.delete('/golden/latest');
    parameters.set('/other', { ...structuredClone(made), name: '/other', value: 'ami-00000000000000009' });
    expect([made.value, (await recall(given, simulator, { ...one, 'ssm-parameter': '' })).said]).toEqual([id, '']);
    expect(made.value).toBe(lookAt(simulator, here).of(first)?.data.ImageId);
    expect(parameters.get('/other')?.value).toBe('ami-00000000000000009');
    await simulator.close();
  });

  test('of more AMIs than AWS takes in a filter', async () => {
    const { given, simulator } = await shared();
    const place = [accounts[0] ?? '', targetRegion] as const;
    const { here, of } = lookAt(simulator, place);
    const image = of(second);
    const [snapshot] = [...here.snapshots.values()].filter(({ data }) =>
      image?.data.BlockDeviceMappings.some(({ Ebs }) => Ebs?.SnapshotId === data.SnapshotId),
    );
    const parameter = here.parameters.get('/golden/latest');
    if (image === undefined || snapshot === undefined || parameter === undefined) throw new Error('no copy');
    const sources = Array.from({ length: 205 }, (_, index) => `ami-0${String(index).padStart(16, 'a')}`);
    for (const [index, source] of sources.entries()) {
      const by = (text: string) =>
        text
          .replaceAll(second, source)
          .replaceAll(image.data.ImageId, source.replace('ami-0', 'ami-1'))
          .replaceAll(snapshot.data.SnapshotId, source.replace('ami-0', 'snap-1'))
          .replaceAll('golden-2', `golden-${index + 10}`);
      const copy = <T>(data: T): T => JSON.parse(by(JSON.stringify(data)));
      const { StartTime } = snapshot.data;
      const own = { ...image, data: copy(image.data), launch: new Set<string>() };
      here.images.set(own.data.ImageId, own);
      const part = { ...snapshot, data: { ...copy(snapshot.data), StartTime } };
      here.snapshots.set(part.data.SnapshotId, part);
      const name = `/golden/${index}`;
      here.parameters.set(name, { ...copy(parameter), name, value: own.data.ImageId });
    }
    const { said, targets } = await recall(given, simulator, {
      'ami-id': sources.join('\n'),
      'target-accounts': place[0],
    });
    expect(said).toBe('');
    expect(targets.filter(({ status }) => status === 'disabled')).toHaveLength(205);
    const former = [of(first), of(second)].map((one) => one?.data.ImageId);
    for (const index of sources.keys()) expect(former).toContain(here.parameters.get(`/golden/${index}`)?.value);
    await simulator.close();
  });

  test('names that hold the source AMI are filled in', async () => {
    const { given, simulator } = await shared();
    const { id } = copyIn(simulator);
    const { parameters } = lookAt(simulator, here).here;
    const made = parameters.get('/golden/latest');
    if (made === undefined) throw new Error('no parameter');
    const name = `/golden/golden-2/${second}`;
    parameters.set(name, { ...structuredClone(made), name, value: id, tags: [] });
    const inputs = { ...one, 'ssm-parameter': '/golden/{name}/{source-ami}' };
    expect((await recall(given, simulator, inputs)).said).toBe('');
    expect(parameters.get(name)?.value).toBe(lookAt(simulator, here).of(first)?.data.ImageId);
    regionOf(simulator.world, sourceAccount, sourceRegion).images.delete(second);
    const gone = await recall(given, simulator, inputs);
    expect(gone.said).toMatch(/ssm-parameter: \{name\} is not known, since the source AMI is not there/);
    await simulator.close();
  });

  test('an AMI that failed its boot test takes no place, not even by name', async () => {
    const { given, simulator } = await shared();
    const { image, id } = copyIn(simulator);
    lookAt(simulator, here).of(first)?.data.Tags.push({ Key: 'share-encrypted-ami:boot-test', Value: 'failed, x' });
    for (const replacement of ['', first]) {
      const { said } = await recall(given, simulator, { ...one, replacement });
      expect(said).toMatch(/\/golden\/latest still names .* no (other AMI|copy of) .* without a failed boot test/);
    }
    expect([lookAt(simulator, here).parameter, image.data.State]).toEqual([id, 'disabled']);
    await simulator.close();
  });

  test('a version of ours that differs otherwise does not become the default', async () => {
    const { given, simulator } = await shared();
    const { template, of } = lookAt(simulator, here);
    const former = of(first)?.data.ImageId ?? '';
    const like = template?.versions.find(({ data }) => data.ImageId === former);
    if (like) like.data.InstanceType = 'm5.24xlarge';
    const wrong = like?.number;
    expect((await recall(given, simulator, one)).said).toBe('');
    const now = template?.versions.find(({ number }) => number === template.defaultVersion);
    expect([now?.data.ImageId, now?.number === wrong, now?.data.InstanceType]).toEqual([former, false, undefined]);
    await simulator.close();
  });

  test("that $Latest means another than a team's version is told", async () => {
    const { given, simulator } = await shared();
    const { template, of } = lookAt(simulator, here);
    const former = of(first)?.data.ImageId;
    const at = template?.versions.findIndex(({ data }) => data.ImageId === former) ?? -1;
    template?.versions.splice(at, 1);
    const number = (template?.latest ?? 0) + 1;
    template?.versions.push({ number, description: 'mine', visibleAt: 0, data: { ImageId: 'ami-00000000000000009' } });
    if (template) template.latest = number;
    const { said, stdout } = await recall(given, simulator, one);
    expect([said, lookAt(simulator, here).launched]).toEqual(['', former]);
    expect(stdout).toContain(`$Latest, which meant version ${number}, means it now`);
    await simulator.close();
  });
});

test('a mark that somebody wrote on an AMI of theirs stops no share', async () => {
  const { given, simulator } = await shared();
  const { image } = copyIn(simulator);
  const { here: region } = lookAt(simulator, here);
  const foreign = structuredClone(image.data);
  const tags = [...foreign.Tags, { Key: mark, Value: 'forged' }];
  Object.assign(foreign, { ImageId: 'ami-0f0e0d0c0b0a09080', Name: 'theirs', SourceImageId: 'ami-0aaaaaaaaaaaaaaa0' });
  region.images.set(foreign.ImageId ?? '', { ...image, launch: new Set(), data: { ...foreign, Tags: tags } });
  expect((await bake(given, simulator, { 'ami-id': second })).said).not.toMatch(/recalled/);
  await simulator.close();
});

describe('what still uses an AMI has a command that ends it', () => {
  test('of each kind, by what AWS calls it', async () => {
    const { given, simulator } = await shared();
    const { image, id } = copyIn(simulator);
    const { here: region } = lookAt(simulator, here);
    for (const [, use] of uses) use(region, image, simulator.clock.now());
    const GranteePrincipal = `arn:aws:iam::${friend}:role/launcher`;
    for (const { grants } of region.keys.values())
      for (const [index, Name] of ['share-encrypted-ami/launch', 'of somebody'].entries())
        grants.push({
          ...{ GrantId: `a${index}`, Name, GranteePrincipal, Operations: ['Decrypt'], activeAt: 0 },
          ...{ CreationDate: new Date(0), IssuingAccount: targetAccount },
        });
    image.data.DeregistrationProtection = 'disabled';
    addTemplate(region, ['ami-00000000000000001', id]);
    const plain = { ...{ type: 'String', dataType: 'text', tags: [], history: [], version: 1 }, value: id };
    region.parameters.set('bare', { ...plain, name: 'bare' });
    const result = await recall(given, simulator, { ...one, 'ssm-parameter': '', 'launch-template': '' });
    const { inUse } = result;
    const at = `--region ${targetRegion}`;
    const made = (template: string, source: number) =>
      `aws ec2 create-launch-template-version ${at} --launch-template-id ${template} --source-version ${source} --launch-template-data ImageId=REPLACEMENT`;
    const byDefault = (template: string, source: number) =>
      `aws ec2 modify-launch-template ${at} --launch-template-id ${template} --default-version "$(${made(template, source)} --query LaunchTemplateVersion.VersionNumber --output text)"`;
    const without = (template: string, versions: string) =>
      `aws ec2 delete-launch-template-versions ${at} --launch-template-id ${template} --versions ${versions}`;
    const [named = '', labelled = '', pinned = '', newest = ''] = [...region.launchTemplates.keys()].slice(-4);
    const commands = new Map(inUse.map(({ by, command }) => [by, command]));
    const recipe = `arn:aws:imagebuilder:${targetRegion}:${targetAccount}:image-recipe/base/1.0.0`;
    const parameter = (name: string) => `arn:aws:ssm:${targetRegion}:${targetAccount}:parameter/${name}`;
    expect(Object.fromEntries(commands)).toMatchObject({
      'i-0123456789abcdef0': `aws ec2 terminate-instances ${at} --instance-ids i-0123456789abcdef0`,
      [named]: `${byDefault(named, 1)} && ${without(named, '1')}`,
      [labelled]: byDefault(labelled, 1),
      [pinned]: `${byDefault(pinned, 1)} && ${without(pinned, '1')}`,
      [newest]: `${made(newest, 2)} && ${without(newest, '2')}`,
      'the Auto Scaling group pinned': `aws autoscaling suspend-processes ${at} --scaling-processes Launch --auto-scaling-group-name pinned`,
      'the Auto Scaling group mixed': `aws autoscaling suspend-processes ${at} --scaling-processes Launch --auto-scaling-group-name mixed`,
      'the launch configuration old': `aws autoscaling delete-launch-configuration ${at} --launch-configuration-name old`,
      [recipe]: `aws imagebuilder delete-image-recipe ${at} --image-recipe-arn ${recipe}`,
      [parameter('theirs')]: `aws ssm put-parameter ${at} --overwrite --value REPLACEMENT --name /theirs`,
      [parameter('bare')]: `aws ssm put-parameter ${at} --overwrite --value REPLACEMENT --name bare`,
    });
    const grants = inUse.filter(({ by }) => by.startsWith(`${GranteePrincipal}, who may use its key`));
    expect(grants.map(({ command }) => command)).toEqual([
      expect.stringMatching(/^aws kms revoke-grant .* --grant-id a0$/),
    ]);
    expect(inUse.map(({ command }) => command)).not.toContain('');
    // To be copied whole.
    for (const command of commands.values()) expect(result.summary).toContain(`| \`${command}\` |`);
    await simulator.close();
  });

  test('in a launch template with hundreds of versions, of which AWS deletes 200 at once', async () => {
    const { given, simulator } = await shared();
    const { id } = copyIn(simulator);
    const template = addTemplate(
      lookAt(simulator, here).here,
      Array.from({ length: 450 }, () => id),
    );
    const { inUse } = await recall(given, simulator, one);
    const { command = '' } = inUse.find(({ by }) => by === template) ?? {};
    const deleted = [...command.matchAll(/ && aws ec2 delete-launch-template-versions .*? --versions ([\d ]+\d)/g)];
    const counts = deleted.map(([, numbers = '']) => numbers.split(' ').length);
    expect(counts).toEqual([200, 200, 50]);
    await simulator.close();
  });

  test('by a version of a launch template beside one that is gone', async () => {
    const { given, simulator } = await shared();
    const { id } = copyIn(simulator);
    const { here: region } = lookAt(simulator, here);
    const LaunchTemplateId = addTemplate(region, ['ami-00000000000000001', id]);
    const [gone, there] = ['9', '2'].map((Version) => ({ LaunchTemplateSpecification: { LaunchTemplateId, Version } }));
    const MixedInstancesPolicy = { LaunchTemplate: { ...gone, Overrides: [{ InstanceType: 't3.micro', ...there }] } };
    region.groups.push({
      ...{ AutoScalingGroupName: 'half', HealthCheckType: 'EC2', CreatedTime: new Date(0), AvailabilityZones: [] },
      ...{ MinSize: 0, MaxSize: 1, DesiredCapacity: 0, DefaultCooldown: 0, MixedInstancesPolicy },
    });
    const { inUse } = await recall(given, simulator, one);
    expect(inUse.map(({ by }) => by)).toContain('the Auto Scaling group half');
    await simulator.close();
  });

  test('also where it is deregistered, of which AWS tells nothing any more', async () => {
    const { given, simulator } = await shared();
    const { image } = copyIn(simulator);
    image.launch.add(friend);
    const [[, use] = [], ...others] = uses;
    expect(others.length).toBeGreaterThan(5);
    use?.(lookAt(simulator, here).here, image, simulator.clock.now());
    const { said, inUse, conclusion } = await recall(given, simulator, { ...one, how: 'deregister' });
    expect([said, conclusion, inUse.map(({ by }) => by)]).toEqual(['', 'success', ['i-0123456789abcdef0']]);
    expect(image.deregisteredAt).toBeDefined();
    await simulator.close();
  });
});
