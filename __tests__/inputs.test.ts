import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as yaml from 'yaml';
import type { Problem } from '../src/alike.ts';
import { actionInputs } from '../src/inputs/actions.ts';
import { InputError, inputDefaults, type RunContext } from '../src/inputs/reader.ts';
import { readSweep } from '../src/inputs/sweep.ts';
import { yamlFor } from '../src/inputs/yaml.ts';
import { type Request, readInputs } from '../src/inputs.ts';
import { digestOf } from '../src/plan/digest.ts';

const run: RunContext = {
  runUrl: 'https://github.com/acme/images/actions/runs/1',
  runId: '1',
  runAttempt: 1,
  sha: 'abc',
  date: new Date('2026-11-23T12:00:00Z'),
  defaultRegion: 'us-east-1',
};

const good = {
  'ami-id': 'ami-0123456789abcdef0',
  'target-accounts': '999999999999',
  'target-regions': 'eu-west-1',
  'target-role-arn': 'arn:aws:iam::{account}:role/target',
  'target-kms-key': 'alias/target',
};

const read = (inputs: Record<string, string>): Request =>
  readInputs((name) => ({ ...good, ...inputs })[name] ?? '', run, { yaml });

const manyTags = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=v`).join('\n');

function problemsOf(inputs: Record<string, string>): readonly Problem[] {
  try {
    read(inputs);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

test.each(Object.entries(actionInputs))('%s declares the inputs that it takes, with their defaults', (name, inputs) => {
  const path = name === 'share' ? 'action.yml' : `${name}/action.yml`;
  const action = yaml.parse(readFileSync(path, 'utf8')) as { inputs: Record<string, { default?: string } | null> };
  const declared = Object.entries(action.inputs).map(([input, given]) => [input, given?.default ?? '']);
  const { reads, spare } = inputs;
  const taken = [...reads.map((input) => [input, inputDefaults[input]]), ...spare.map((input) => [input, ''])];
  expect(Object.fromEntries(declared)).toEqual(Object.fromEntries(taken));
});

test.each([
  ['targets', '- {account: "999999999999", region: eu-west-2}'],
  ['tags', 'team="images"'],
  ['tags', '{"team": "images"}'],
  ['intermediate-tags', "team='images'"],
  ['role-session-tags', 'team="images"'],
])('%s: %s is read by what is loaded for it, and without it nothing is', async (name, text) => {
  const get = (input: string) => ({ ...good, [name]: text })[input] ?? '';
  expect(() => readInputs(get, run, {})).toThrow('nothing is there that reads it');
  readInputs(get, run, { yaml: await yamlFor(get) });
  expect(await yamlFor((input) => ({ ...good })[input as 'ami-id'] ?? '')).toBeUndefined();
});

test('a sweep takes the inputs of the runs, without a key of the targets, and none that only other actions have', () => {
  const inputs: Record<string, string> = { ...good, 'target-kms-key': '', 'source-kms-key': 'alias/golden' };
  const read = (more: Record<string, string>) =>
    readSweep((name) => ({ ...inputs, ...more })[name] ?? '', run, { yaml });
  read({ 'dry-run': 'false', retain: '3', 'boot-test': 'ssm' });
  expect(() => read({ 'dry-run': 'true' })).toThrow(/dry-run: "true" — is an input of the main action; sweep does not/);
});

test('regions of partitions that are not known are told apart from what is no region', () => {
  for (const region of ['eusc-de-east-1', 'us-iso-east-1', 'us-isob-east-1', 'us-isof-south-1', 'eu-isoe-west-1'])
    expect(problemsOf({ 'target-regions': region })).toMatchObject([{ what: expect.stringMatching(/partition/) }]);
  expect(problemsOf({ 'target-regions': 'moon' })).toMatchObject([{ what: expect.stringMatching(/name of a region/) }]);
});

describe('targets', () => {
  test('every account × every region, then what targets adds or overrides', () => {
    const { targets } = read({
      'target-accounts': '111111111111, 222222222222\n111111111111',
      'target-regions': 'eu-west-1\nus-west-2',
      tags: 'a=1\nb={region}',
      targets: `
        - { account: 222222222222, region: us-west-2, kms-key: alias/other, tags: { b: own, c: "3" } }
        - { account: 012345678901, region: eu-north-1, role-arn: arn:aws:iam::012345678901:role/x }`,
    });
    expect(targets.map(({ account, region, kmsKey }) => [account, region, kmsKey])).toEqual([
      ['111111111111', 'eu-west-1', 'alias/target'],
      ['111111111111', 'us-west-2', 'alias/target'],
      ['222222222222', 'eu-west-1', 'alias/target'],
      ['222222222222', 'us-west-2', 'alias/other'],
      ['012345678901', 'eu-north-1', 'alias/target'],
    ]);
    expect(targets[3]?.tags).toEqual({ a: '1', b: 'own', c: '3' });
    expect(targets[4]).toMatchObject({
      roleArn: 'arn:aws:iam::012345678901:role/x',
      tags: { a: '1', b: '{region}' },
    });
  });

  test('some are excluded, and some are optional', () => {
    const { targets } = read({
      'target-accounts': '111111111111, 222222222222, 333333333333',
      'target-regions': 'eu-west-1\nus-west-2',
      'exclude-targets': '333333333333/*\n111111111111/us-west-2',
      'optional-targets': '["*/us-west-2", "012345678901/eu-north-1"]',
      targets: `
        - { account: 222222222222, region: us-west-2, optional: false }
        - { account: 222222222222, region: eu-north-1, optional: true }
        - { account: 012345678901, region: eu-north-1 }
        - { account: 333333333333, region: eu-north-1 }`,
    });
    expect(targets.map(({ account, region, optional }) => [account, region, optional])).toEqual([
      ['111111111111', 'eu-west-1', false],
      ['222222222222', 'eu-west-1', false],
      ['222222222222', 'us-west-2', false],
      ['222222222222', 'eu-north-1', true],
      ['012345678901', 'eu-north-1', true],
    ]);
  });

  test('all regions of an account are read later, and then are targets like others', () => {
    const inputs = { 'target-regions': 'all', 'exclude-targets': '*/us-east-1', 'optional-targets': '*/us-west-2' };
    expect(read(inputs)).toMatchObject({
      allRegions: true,
      targets: [{ account: '999999999999', region: 'us-east-1', everyRegion: { problem: undefined } }],
    });
    const get = (name: string) => ({ ...good, ...inputs })[name as 'ami-id'] ?? '';
    const enabled = new Map([['999999999999', { regions: ['us-east-1', 'eu-west-1', 'us-west-2'] }]]);
    expect(readInputs(get, run, { enabled, yaml }).targets.map(({ region, optional }) => [region, optional])).toEqual([
      ['eu-west-1', false],
      ['us-west-2', true],
    ]);
    const problem = { where: '999999999999/us-east-1', what: 'no role', remedy: '' };
    const { targets } = readInputs(get, run, { yaml, enabled: new Map([['999999999999', { problem }]]) });
    expect(targets).toMatchObject([{ region: 'us-east-1', everyRegion: { problem } }]);
  });

  test('placeholders of the role and the key are filled in; names and tags are approved as templates', () => {
    const amiName = '{name}-{account}-{region}-{date}-{sha}-{run-id}';
    const { targets } = read({ 'target-ami-name': amiName, 'target-kms-key': 'alias/{region}-{run-id}-{name}' });
    expect(targets[0]).toMatchObject({
      amiName,
      roleArn: 'arn:aws:iam::999999999999:role/target',
      kmsKey: 'alias/eu-west-1-1-{name}',
    });
  });
});

describe('one problem each', () => {
  test.each<[Record<string, string>, string, RegExp]>([
    [{ 'ami-id': 'ami-123' }, 'ami-id', /ID of an AMI/],
    [{ 'ami-name': 'x' }, 'ami-id, ami-name', /exactly one/],
    [{ 'source-owners': ',' }, 'source-owners', /"," — names no owner/],
    [{ 'source-owners': 'self, Amazon' }, 'source-owners', /self, account IDs, amazon or aws-marketplace/],
    [{ 'source-region': 'us-east' }, 'source-region', /name of a region/],
    [{ 'source-role-arn': 'role' }, 'source-role-arn', /ARN of a role/],
    [{ 'source-role-arn': 'arn:aws-cn:iam::111111111111:role/x' }, 'source-role-arn', /partition aws-cn/],
    [{ 'source-kms-key': 'cmk' }, 'source-kms-key', /alias/],
    [{ 'source-kms-key': 'alias/aws/ebs' }, 'source-kms-key', /AWS managed key/],
    [{ 'source-kms-key': 'arn:aws:kms:eu-west-1:111111111111:alias/x' }, 'source-kms-key', /expected one in us-east-1/],
    [{ 'source-key-access': 'Grant' }, 'source-key-access', /grant, policy or existing/],
    [{ 'target-accounts': '99999999999' }, 'target-accounts', /12-digit/],
    [{ 'target-accounts': '' }, 'target-accounts', /needed beside target-regions/],
    [
      { 'target-accounts': '', 'target-regions': '' },
      'target-accounts',
      /target-accounts with target-regions, or targets/,
    ],
    [{ 'target-regions': 'us-gov-west-1' }, 'target-regions', /AWS copies nothing from one partition to another/],
    [{ 'target-kms-key': '' }, 'target-kms-key', /is needed/],
    [
      { 'target-kms-key': 'arn:aws:kms:eu-west-1:111111111111:key/mrk-0123456789abcdef0123456789abcdef' },
      'target-kms-key',
      /expected one in account 999999999999/,
    ],
    [
      { 'target-role-arn': 'arn:aws:iam::111111111111:role/x' },
      'target-role-arn',
      /expected one in account 999999999999/,
    ],
    [{ 'target-ami-name': '{nmae}' }, 'target-ami-name', /\{nmae\} is not a placeholder/],
    [{ 'role-session-name': '{name}' }, 'role-session-name', /not known yet/],
    [{ 'role-session-name': 'a b' }, 'role-session-name', /2 to 64/],
    [{ 'role-chaining': 'True!' }, 'role-chaining', /true or false/],
    [{ 'role-duration-seconds': '60' }, 'role-duration-seconds', /900 to 43200/],
    [{ 'external-id': '#' }, 'external-id', /1224/],
    [{ 'poll-interval': '0' }, 'poll-interval', /1 to 3600/],
    [{ 'timeout-minutes': '1.5' }, 'timeout-minutes', /whole number/],
    [{ retain: '3' }, 'lineage', /is needed with retain/],
    [{ 'max-severity': 'critical' }, 'max-severity', /none, informational, low, medium or high/],
    [{ 'fixable-only': 'true' }, 'fixable-only', /max-severity is needed with it/],
    [{ 'retain-days': '3' }, 'retain', /is needed with retain-days/],
    [{ 'retain-shared': 'by-report' }, 'retain', /is needed with retain-shared: by-report/],
    [{ 'retain-shared': 'report' }, 'retain-shared', /expected keep or by-report/],
    [{ lineage: 'web-{date}' }, 'lineage', /\{date\} is another in each bake/],
    [{ lineage: 'web-*' }, 'lineage', /at most 128 letters/],
    [{ lineage: 'größe' }, 'lineage', /at most 128 letters \(A to Z\)/],
    [{ tags: 'no-equals' }, 'tags', /key=value/],
    [{ tags: 'a=1, b=2' }, 'tags', /each on a line of its own, or, .* in quotes: a="…"/],
    [{ 'role-session-tags': 'a=1,b=2' }, 'role-session-tags', /looks like several tags/],
    [{ tags: '{"a": 1}' }, 'tags', /whose values are texts/],
    [{ tags: '["a=1"]' }, 'tags', /whose values are texts/],
    [{ tags: '- a=1' }, 'tags', /key=value/],
    [{ tags: 'a=1\n# b=2' }, 'tags', /there are no comments, and no quotes around a key/],
    [{ tags: '"a b"=1' }, 'tags', /there are no comments, and no quotes around a key/],
    [{ tags: '{account}=1' }, 'tags', /filled in only in values/],
    [{ tags: '{"{name}": "1"}' }, 'tags', /filled in only in values/],
    [{ 'role-session-tags': `${'k'.repeat(129)}=x` }, 'role-session-tags', /1 to 128/],
    [{ 'role-session-tags': 'aws:a=x' }, 'role-session-tags', /reserved by AWS/],
    [{ 'role-session-tags': 'a*b=x' }, 'role-session-tags', /"a\*b" — the key of a session tag has letters/],
    [{ 'role-session-tags': manyTags(51) }, 'role-session-tags', /"51 tags" — AWS allows 50$/],
    [{ tags: 'a=1\nb=2\na=3' }, 'tags', /names a a second time/],
    [{ tags: '{"a": "1", "a": "2"}' }, 'tags', /names a key twice/],
    [{ tags: '{"a": "1"' }, 'tags', /is not JSON/],
    [{ 'target-accounts': '[999999999999]' }, 'target-accounts', /JSON array of texts/],
    [{ 'target-regions': "['eu-west-1']" }, 'target-regions', /JSON array of texts/],
    [{ tags: 'share-encrypted-ami:run=x' }, 'tags', /this action's own/],
    [{ tags: `${'k'.repeat(129)}=x` }, 'tags', /1 to 128/],
    [{ 'target-regions': 'all, eu-west-1' }, 'target-regions', /stands for every region/],
    [
      { 'target-regions': 'all', 'target-role-arn': 'arn:aws:iam::{account}:role/{name}' },
      'target-role-arn',
      /not known yet when regions are read/,
    ],
    [{ 'target-regions': 'all', 'exclude-targets': '999999999999/*' }, 'exclude-targets', /leaves no target/],
    [{ 'exclude-targets': '*/*' }, 'exclude-targets', /leaves no target/],
    [{ 'exclude-targets': '99999999999/eu-west-1' }, 'exclude-targets', /expected account\/region/],
    [{ 'exclude-targets': 'eu-west-1' }, 'exclude-targets', /expected account\/region/],
    [{ 'optional-targets': '*/moon' }, 'optional-targets', /expected account\/region/],
    [{ 'optional-targets': '*/*/*' }, 'optional-targets', /expected account\/region/],
    [
      { targets: '- {account: 111111111111, region: eu-west-1, optional: yes}' },
      'targets[0].optional',
      /true or false/,
    ],
    [{ 'on-problem': 'warn' }, 'on-problem', /expected fail or skip/],
    [{ 'on-problem': 'skip', 'fail-fast': 'true' }, 'on-problem', /fail-fast/],
    [{ targets: 'a: b' }, 'targets', /YAML list/],
    [{ targets: '[{' }, 'targets', /is not YAML/],
    [{ targets: '- account: 1\n\tregion: x' }, 'targets', /is not YAML: .* at line 2, column 2$/],
    [{ 'target-accounts': '[]' }, 'target-accounts, target-regions', /"\[\], eu-west-1" — names no target$/],
    [{ 'target-regions': ' , ' }, 'target-accounts, target-regions', /names no target$/],
    [{ 'target-accounts': '', 'target-regions': '', targets: '[]' }, 'targets', /"\[\]" — names no target$/],
    [{ targets: '- &a {account: 111111111111, region: eu-west-1}\n- *a' }, 'targets', /anchors and aliases \(&a\)/],
    [{ targets: '- {account: 111111111111, region: &r eu-west-1}' }, 'targets', /anchors and aliases \(&r\)/],
    [{ targets: '- *nowhere' }, 'targets', /./],
    [{ 'target-ami-name': 'golden#{name}' }, 'target-ami-name', /3 to 128 letters, digits, spaces/],
    [{ 'target-ami-name': `{name}${'x'.repeat(126)}` }, 'target-ami-name', /3 to 128 letters/],
    [
      { targets: '- {account: 999999999999, region: eu-west-1, ami-name: "a|b"}' },
      'targets 999999999999/eu-west-1 ami-name',
      /3 to 128 letters/,
    ],
    [{ 'target-ami-description': 'für {name}' }, 'target-ami-description', /255 ASCII/],
    [{ 'target-ami-description': `{region}${'x'.repeat(250)}` }, 'target-ami-description', /255 ASCII/],
    [{ 'hub-kms-key': 'golden-{region}' }, 'hub-kms-key', /an alias \(alias\/name\), a key ID/],
    [{ 'hub-kms-key': 'alias/aws/ebs' }, 'hub-kms-key', /AWS managed key/],
    [{ 'hub-kms-key': 'alias/{name}' }, 'hub-kms-key', /cannot hold \{name\}/],
    [{ 'hub-kms-key': 'alias/{regoin}' }, 'hub-kms-key', /\{regoin\} is not a placeholder/],
    [{ tags: 'a={constructor}' }, 'tags', /\{constructor\} is not a placeholder/],
    [{ targets: '- {account: 111111111111}' }, 'targets[0].region', /is needed/],
    [{ targets: '- {account: 111111111111, region: eu-west-1, key: x}' }, 'targets[0].key', /is not known here/],
    [{ 'packer-manifest': '/nowhere', 'ami-id': '' }, 'packer-manifest', /ENOENT/],
    [{ 'instance-id': 'i-1', 'ami-id': '' }, 'instance-id', /ID of an instance/],
  ])('%j', (inputs, input, expected) => {
    const [problem, ...more] = problemsOf(inputs);
    expect(more).toEqual([]);
    expect(problem?.where).toBe(input);
    expect(problem?.what).toMatch(expected);
  });
});

test('all problems come in one error, with input, value and what was expected', () => {
  const inputs = { 'ami-id': 'x', 'max-parallel': '-1', 'copy-tags': 'maybe' };
  expect(() => read(inputs)).toThrow(
    /3 inputs are not usable; nothing was changed\.\n {2}ami-id: "x" — expected.*\n {2}copy-tags: "maybe" — .*\n {2}max-parallel: "-1" — /,
  );
});

test('literal parts that could fit are taken', () => {
  const inputs = {
    'target-ami-name': `{name}${'x'.repeat(125)}`,
    'target-ami-description': 'x'.repeat(255),
    'hub-kms-key': 'arn:aws:kms:{region}:{account}:alias/golden',
  };
  expect(problemsOf(inputs)).toEqual([]);
  expect(problemsOf({ 'hub-kms-key': 'arn:aws:kms:eu-west-1:111111111111:alias/golden' })).toEqual([]);
});

test('YAML that is nested without end is a problem', () => {
  expect(problemsOf({ targets: '['.repeat(20_000) })).toMatchObject([{ what: expect.stringMatching(/is not YAML/) }]);
});

describe('problems that are many', () => {
  const messageOf = (inputs: Record<string, string>): string => {
    try {
      read(inputs);
    } catch (error) {
      if (error instanceof InputError) return error.message;
    }
    return '';
  };
  const accounts = (count: number) => Array.from({ length: count }, (_, index) => String(100_000_000_000 + index));

  test('and alike but for the place are one, with five places and a count', () => {
    const targets = accounts(400).map((account) => `- {account: ${account}, region: eu-west-1, key: x}`);
    expect(messageOf({ targets: targets.join('\n') })).toBe(
      [
        '400 inputs are not usable; nothing was changed.',
        '  targets[0].key, targets[1].key, targets[2].key, targets[3].key, targets[4].key and 395 more: "x" — is not known here; there are account, region, role-arn, kms-key, ami-name, tags, optional',
      ].join('\n'),
    );
  });

  test('and different are told up to twenty, and how many more', () => {
    const lines = messageOf({
      'target-accounts': accounts(50)
        .map((id) => `${id}0`)
        .join(),
    }).split('\n');
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toBe('  …and 30 different ones more; the job summary has them all');
  });

  test('a billion pairs of account and region are refused before they are made', () => {
    const problems = problemsOf({
      'target-accounts': accounts(40_000).join(),
      'target-regions': accounts(25_000).join(),
    });
    const found = (count: number) => ({
      where: 'target-accounts',
      what: `"${count} pairs of account and region" — expected at most 100000 targets`,
    });
    expect(problems).toMatchObject([found(1_000_000_000)]);
    const one = { targets: '- {account: 111111111111, region: eu-west-1}' };
    const full = { 'target-accounts': accounts(1000).join(), 'target-regions': accounts(100).join() };
    expect(problemsOf({ ...full, ...one })).toMatchObject([found(100_001)]);
  });
});

test('a tag is a line with its comma and, in quotes, what YAML reads; or an entry of a JSON object', () => {
  const written = 'a=x, y\nb="c=1, d=2"\nc=\'it\'\'s\'\nd="x" or "y"\ne="tab\\there" \nf=\ng="\nh="x" # "y"';
  const tags = {
    ...{ a: 'x, y', b: 'c=1, d=2', c: "it's", d: '"x" or "y"', e: 'tab\there', f: '', g: '"', h: '"x" # "y"' },
  };
  for (const text of [written, JSON.stringify(tags)]) expect(read({ tags: text }).targets[0]?.tags).toEqual(tags);
  expect(read({ 'role-session-tags': 'b="c d"' }).credentials.sessionTags).toEqual({ b: 'c d' });
  expect(read({ tags: '{}' }).targets[0]?.tags).toEqual({});
});

test('session tags are no resource’s: as many as AWS takes, and each key in one case only', () => {
  const sessionTags = (text: string) => read({ 'role-session-tags': text }).credentials.sessionTags;
  expect(Object.keys(sessionTags(manyTags(50)))).toHaveLength(50);
  expect(sessionTags('share-encrypted-ami:job=bake')).toEqual({ 'share-encrypted-ami:job': 'bake' });
  expect(problemsOf({ 'role-session-tags': 'Team=a\nteam=b' })).toMatchObject([
    { what: '"Team" — AWS takes it for the same key as team' },
    { what: '"team" — AWS takes it for the same key as Team' },
  ]);
});

test('a list may be a JSON array', () => {
  const { targets } = read({
    'target-accounts': '["999999999999", "000000000001"]',
    'target-regions': '["eu-west-1"]',
  });
  expect(targets.map(({ account, region }) => `${account}/${region}`)).toEqual([
    ...['999999999999/eu-west-1', '000000000001/eu-west-1'],
  ]);
});

test('tags of any key come out as they went in', () => {
  const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'];
  const tags = keys.map((key) => [key, `of ${key}`] as const);
  const lines = tags.map(([key, value]) => `${key}=${value}`).join('\n');
  const yaml = tags.map(([key, value]) => `${key}: ${value}`).join(', ');
  for (const inputs of [{ tags: lines }, { targets: `- {account: 999999999999, region: eu-west-1, tags: {${yaml}}}` }])
    expect(Object.entries(read(inputs).targets[0]?.tags ?? {})).toEqual(tags);
  expect(Object.entries(read({ 'role-session-tags': lines }).credentials.sessionTags)).toEqual(tags);
});

describe('a file that an input names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'inputs-'));
  const path = (name: string) => join(folder, name);
  spawnSync('mkfifo', [path('pipe')]);
  writeFileSync(path('long'), '');
  truncateSync(path('long'), 10 * 1024 * 1024 + 1);
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([
    ['a pipe that nobody writes to', path('pipe'), /is no regular file/],
    ['a device', '/dev/zero', /is no regular file/],
    ['a folder', folder, /is no regular file|EISDIR/],
    ['a file over 10 MB', path('long'), /has more than 10 MB/],
    ['no file', path('none'), /ENOENT/],
  ])('%s is refused at once', (_, file, why) => {
    const start = Date.now();
    for (const inputs of [
      { 'packer-manifest': file, 'ami-id': '' },
      {
        'expect-plan-file': file,
        'expect-plan-digest': digestOf({
          source: { amiId: null, instanceId: null, snapshots: [] },
          targets: [],
          leftOut: [],
        }),
      },
    ])
      expect(problemsOf(inputs)).toMatchObject([{ what: expect.stringMatching(why) }]);
    expect(Date.now() - start).toBeLessThan(1000);
  });
});

describe('a Packer manifest with several builds of a region', () => {
  const build = (name: string, artifact_id: string) => ({ name, packer_run_uuid: 'b', artifact_id });
  const manifest = {
    last_run_uuid: 'b',
    builds: [build('web', 'us-east-1:ami-00000001,us-west-2:ami-00000002'), build('db', 'us-east-1:ami-00000003')],
  };
  const folder = mkdtempSync(join(tmpdir(), 'manifest-'));
  const file = join(folder, 'manifest.json');
  writeFileSync(file, `\uFEFF${JSON.stringify(manifest)}`);
  afterAll(() => rmSync(folder, { recursive: true }));
  const given = { 'packer-manifest': file, 'ami-id': '' };

  test('packer-build picks one by its name, and the file may begin with a byte order mark', () => {
    expect(read({ ...given, 'packer-build': 'db' }).image).toEqual({ by: 'id', id: 'ami-00000003' });
    const west = { 'source-region': 'us-west-2', 'target-regions': 'eu-west-1' };
    expect(read({ ...given, ...west }).image).toEqual({ by: 'id', id: 'ami-00000002' });
  });

  test.each([
    [given, /2 AMIs in us-east-1.* packer-build: us-east-1:ami-00000001 \(web\), us-east-1:ami-00000003 \(db\)$/],
    [{ ...given, 'packer-build': 'cache' }, /no AMI of a build named cache; it made .*\(web\).*\(db\)$/],
    [{ ...given, 'packer-build': 'db', 'source-region': 'us-west-2' }, /no AMI in source-region us-west-2; .*\(db\)$/],
    [{ 'packer-build': 'db' }, /needs packer-manifest/],
  ])('%j is a problem', (inputs, what) => {
    expect(problemsOf(inputs)).toMatchObject([{ what: expect.stringMatching(what) }]);
  });

  test('builds that have one name are told apart by the ID only', () => {
    const twice = { ...manifest, builds: manifest.builds.map((one) => ({ ...one, name: 'web' })) };
    const path = join(folder, 'twice.json');
    writeFileSync(path, JSON.stringify(twice));
    for (const build of ['', 'web'])
      expect(problemsOf({ ...given, 'packer-manifest': path, 'packer-build': build })).toMatchObject([
        { what: expect.stringMatching(/the builds have one name, so give its ID as ami-id: us-east-1:ami-00000001/) },
      ]);
  });
});

test.each<[string, RegExp]>([
  ['aws-golden', /reserved/],
  ['/AWS/golden', /reserved/],
  ['/ssm{region}', /reserved/],
  ['golden/{region}', /begins with a slash/],
  ['/golden//latest', /single slashes/],
  ['/golden/latest/', /single slashes/],
  ['/golden latest', /letters, digits/],
  ['/{account}:1', /letters, digits/],
  [`/${Array(16).fill('a').join('/')}`, /at most 15 levels/],
  [`/${'a'.repeat(1011)}`, /at most 1011 characters/],
])('%s is no name of an SSM parameter', (name, why) => {
  expect(problemsOf({ 'ssm-parameter': name })).toEqual([
    { where: 'ssm-parameter', what: expect.stringMatching(why), remedy: '' },
  ]);
});

test('names of SSM parameters that may be right are taken', () => {
  for (const name of [
    'golden',
    '/golden/{region}',
    '/{name}/{source-ami}',
    '{name}',
    `/${Array(15).fill('a').join('/')}`,
  ])
    expect(problemsOf({ 'ssm-parameter': name })).toEqual([]);
});

test('the China partition has an audience of its own', () => {
  const china = {
    'source-region': 'cn-north-1',
    'target-regions': 'cn-northwest-1',
    'target-role-arn': 'arn:aws-cn:iam::{account}:role/x',
  };
  expect(read(china).credentials.audience).toBe('sts.amazonaws.com.cn');
  expect(read({}).credentials.audience).toBe('sts.amazonaws.com');
  expect(read({ ...china, 'oidc-audience': 'mine' }).credentials.audience).toBe('mine');
});

describe('the plan that is expected', () => {
  const digest = digestOf({ source: { amiId: null, instanceId: null, snapshots: [] }, targets: [], leftOut: [] });
  const from = (inputs: Record<string, string>, files: Record<string, string> = {}) =>
    readInputs((name) => ({ ...good, ...inputs })[name] ?? '', run, {
      readFile: (path) => {
        const text = files[path];
        if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
        return text;
      },
    }).expectPlan;
  const both = { 'expect-plan-digest': digest, 'expect-plan-file': 'plan.json' };

  test('is a digest, and what its file says was approved', () => {
    expect(from({})).toBeUndefined();
    expect(from({ 'expect-plan-digest': digest })).toEqual({ digest, file: undefined, approved: undefined });
    const approved = { source: 1 };
    expect(from(both, { 'plan.json': JSON.stringify({ approved }) })).toEqual({ digest, file: 'plan.json', approved });
  });

  test.each<Readonly<{ what: string; inputs: Record<string, string>; file?: string; why: RegExp }>>([
    {
      what: 'a file alone',
      inputs: { 'expect-plan-file': 'plan.json' },
      file: '{"approved":{}}',
      why: /expect-plan-file: "plan.json" — needs expect-plan-digest/,
    },
    {
      what: 'part of a digest',
      inputs: { 'expect-plan-digest': digest.slice(0, 60) },
      why: /expect-plan-digest: .* — expected the whole of the output plan-digest/,
    },
    {
      what: 'a digest of another version',
      inputs: { 'expect-plan-digest': digest.replace('v1', 'v2') },
      why: /is of version v2, and this version of the action makes v1/,
    },
    { what: 'no file', inputs: both, why: /expect-plan-file: "plan.json" — ENOENT/ },
    // No word of the file, which may be another than was meant.
    {
      what: 'a file that is not JSON',
      inputs: both,
      file: '[default]\naws_secret_access_key=x',
      why: /expect-plan-file: "plan.json" — it is not JSON$/,
    },
    {
      what: 'a file of something else',
      inputs: both,
      file: '[]',
      why: /expect-plan-file: "plan.json" — expected the file of the output plan-file/,
    },
  ])('$what is a problem', ({ inputs, file, why }) => {
    expect(() => from(inputs, file === undefined ? {} : { 'plan.json': file })).toThrow(why);
  });
});

test('whatever stands in the inputs: a request or one InputError', () => {
  const names = Object.keys(inputDefaults);
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '{account}',
      '- {a: &x [*x]}',
      'true',
      '0',
      'ami-0123456789abcdef0',
      '999999999999',
      'eu-west-1',
      '- - -',
      '{',
      'a=b,c=d',
      '!!js/function x',
    ),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), text), (inputs) => {
      try {
        expect(read(inputs).targets.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        expect((error as InputError).problems.length).toBeGreaterThan(0);
      }
    }),
    { numRuns: 1000 },
  );
});
