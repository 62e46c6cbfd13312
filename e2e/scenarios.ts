// What is tried end to end: each scenario has an AMI of its own, so that none finds what another made.

/** What one run of the action is to come to. */
export type Ending = 'created' | 'reused' | 'planned' | 'cancelled';

export type Scenario = Readonly<{
  name: string;
  /** One line for people. */
  what: string;
  /** The source AMI's volumes, each of 1 GiB and empty: unencrypted, or under the source's customer managed key. */
  volumes: readonly ('unencrypted' | 'customer-key')[];
  regions: 'one' | 'both';
  /** Runs of the action one after another: inputs besides the usual ones, and how each ends. `{run}` stands for the run's ID. */
  runs: readonly Readonly<{ inputs?: Readonly<Record<string, string>>; ends: Ending }>[];
}>;

export const scenarios: readonly Scenario[] = [
  {
    name: 'dry-run',
    what: 'the plan alone; nothing is made',
    volumes: ['unencrypted'],
    regions: 'one',
    runs: [{ inputs: { 'dry-run': 'true' }, ends: 'planned' }],
  },
  {
    name: 'unencrypted',
    what: 'an encrypted copy in the source account first, then the target',
    volumes: ['unencrypted'],
    regions: 'one',
    runs: [{ ends: 'created' }],
  },
  {
    name: 'customer-key',
    what: 'straight from the source AMI; a second run makes nothing',
    volumes: ['customer-key'],
    regions: 'one',
    runs: [{ ends: 'created' }, { ends: 'reused' }],
  },
  {
    name: 'mixed-volumes',
    what: 'two volumes, of which one has to be encrypted first',
    volumes: ['unencrypted', 'customer-key'],
    regions: 'one',
    runs: [{ ends: 'created' }],
  },
  {
    name: 'two-regions',
    what: 'one encrypted copy serves two regions at once',
    volumes: ['unencrypted'],
    regions: 'both',
    runs: [{ ends: 'created' }],
  },
  {
    name: 'route-copy',
    what: 'by CopyImage in the target account',
    volumes: ['customer-key'],
    regions: 'one',
    runs: [{ inputs: { route: 'copy' }, ends: 'created' }],
  },
  {
    name: 'key-policy',
    what: 'access by a statement in the source key’s policy, which is as it was afterwards',
    volumes: ['customer-key'],
    regions: 'one',
    runs: [{ inputs: { 'source-key-access': 'policy' }, ends: 'created' }],
  },
  {
    name: 'publish',
    what: 'an SSM parameter, a deprecation date and deregistration protection',
    volumes: ['customer-key'],
    regions: 'one',
    runs: [
      {
        inputs: {
          'ssm-parameter': '/golden/e2e-{run}',
          'deprecate-after': '30d',
          'deregistration-protection': 'on',
        },
        ends: 'created',
      },
    ],
  },
  {
    name: 'cancel',
    what: 'cancelled while the target copies: all is taken back; the next run makes the AMI',
    volumes: ['customer-key'],
    regions: 'one',
    runs: [{ ends: 'cancelled' }, { ends: 'created' }],
  },
];

/** The inputs of a scenario's run besides the usual ones. */
export function inputsOf({ inputs = {} }: Scenario['runs'][number], runId: string): Record<string, string> {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, value.replaceAll('{run}', runId)]));
}

/** What the scenarios cost at most, in Markdown. */
export function costOf(chosen: readonly Scenario[]): string {
  const made = chosen.filter(({ runs }) => runs.some(({ ends }) => ends !== 'planned'));
  const sum = (all: readonly Scenario[], count: (scenario: Scenario) => number) =>
    all.reduce((total, scenario) => total + count(scenario), 0);
  const targets = ({ regions }: Scenario) => (regions === 'both' ? 2 : 1);
  const copies = sum(made, (scenario) => scenario.volumes.length * targets(scenario));
  const encrypted = sum(made, ({ volumes }) => volumes.filter((kind) => kind === 'unencrypted').length);
  const snapshots = sum(chosen, ({ volumes }) => volumes.length) + encrypted + copies;
  const rows = [
    // The dearest region's prices: https://aws.amazon.com/ebs/pricing/, https://aws.amazon.com/ec2/pricing/on-demand/
    { what: 'snapshots, for an hour', count: `${snapshots} GiB at 0.07 a month`, usd: (snapshots * 0.07) / 730 },
    { what: 'transfer between regions', count: `${copies} GiB at 0.15`, usd: copies * 0.15 },
    { what: 'requests to KMS', count: 'some hundred', usd: 0.01 },
  ];
  const all = rows.reduce((total, { usd }) => total + usd, 0);
  return [
    `## What this costs, at most: ${all.toFixed(2)} USD`,
    '',
    'The volumes are empty, and AWS bills what is written; these are the prices of whole GiB. Nothing runs on EC2, and the',
    'keys are there already.',
    '',
    '| what | how much | USD |',
    '|---|--:|--:|',
    ...rows.map(({ what, count, usd }) => `| ${what} | ${count} | ${usd.toFixed(3)} |`),
    '',
    `Should the clean-up fail, what is left costs up to ${(snapshots * 0.07).toFixed(2)} USD a month.`,
  ].join('\n');
}
