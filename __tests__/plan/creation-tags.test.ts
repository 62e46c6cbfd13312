import { expect, test } from '@jest/globals';
import { instanceTag, maxTags, ownTagCount, tagKeys } from '../../src/tags.ts';
import { golden, planFrom, requestOf, runUrl, sourceAccount, sourceRegion, targetIn, unencrypted } from './given.ts';

const place = { account: sourceAccount, region: sourceRegion };

/** Two targets, of which one has tags of its own, as the inputs have them. */
function asked(tags: Readonly<Record<string, string>>) {
  const inputs = {
    'target-accounts': '777777777777,888888888888',
    targets: JSON.stringify([{ account: '777777777777', region: 'eu-west-1', tags }]),
  };
  const targets = requestOf(inputs).targets.map((request) =>
    targetIn(request.account, request.region, { request, tags: request.tags }),
  );
  return { inputs, targets };
}

test('the AMI of an instance passes on what this run gave it to none that is not to have it; any other AMI does', () => {
  const { inputs, targets } = asked({ env: 'prod' });
  const envs = (run: string, of: string | undefined) => {
    const Tags = [
      { Key: 'env', Value: 'old' },
      { Key: tagKeys.run, Value: run },
      ...(of === undefined ? [] : [{ Key: instanceTag, Value: of }]),
    ];
    const { plan } = planFrom({ inputs, targets, image: golden({ Tags }) });
    return plan.targets.map(({ expected }) => expected.tags.find(({ Key }) => Key === 'env')?.Value);
  };
  expect(envs(runUrl, 'i-1')).toEqual(['prod', undefined]);
  expect(envs(`${runUrl}0`, 'i-1')).toEqual(['prod', 'old']);
  expect(envs(runUrl, undefined)).toEqual(['prod', 'old']);
});

test('an encrypted copy bears as many tags as AWS takes, however many the targets have between them', () => {
  const most = maxTags - ownTagCount;
  const many = Object.fromEntries(Array.from({ length: most }, (_, index) => [`key-${index}`, '{region}']));
  const { inputs, targets } = asked(many);
  const facts = {
    inputs: { ...inputs, tags: 'Name=a\nmore=b' },
    targets,
    source: { snapshots: [unencrypted('snap-b007')] },
  };
  const [copy] = planFrom(facts).plan.encryptedCopies;
  expect(copy?.place).toEqual(place);
  expect(Object.keys(copy?.tags ?? {})).toHaveLength(most);
  expect(copy?.tags).toMatchObject({ more: 'b', 'key-0': sourceRegion });
  expect(copy?.tags).not.toHaveProperty('Name');
});
