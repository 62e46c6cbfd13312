import type { Latency } from './rates.ts';

/*
 * How hard the simulated AWS is. Each behaviour is a setting of the scenario. The hard values in `hard` are the default,
 * but for `onRequest`.
 */

/** How fast things go and how late they are seen, in seconds. */
export type Timings = Readonly<{
  secondsPerGiB: number;
  /** Every copy takes this much besides. */
  baseSeconds: number;
  /**
   * A new ID is NotFound for so long, and lists miss it: "wait until the describe command returns" it,
   * https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html; the call after RegisterImage,
   * https://github.com/coreos/mantle/issues/1091.
   */
  visibleAfterSeconds: number;
  /** What was deregistered or deleted is described for so long. */
  goneAfterSeconds: number;
  /**
   * RegisterImage's AMIs are pending for so long: more than ten minutes in
   * https://github.com/bottlerocket-os/twoliter/issues/582.
   */
  registerSeconds: number;
  /**
   * CopyImage's pending AMI names its snapshots only after so long, or when it is available: "partial information that
   * doesn't include snapshot IDs" (https://github.com/bottlerocket-os/bottlerocket/pull/1066).
   */
  namesSnapshotsAfterSeconds: number;
  /** How long an instance is pending, and how long it takes to end once it is told to. */
  launchSeconds: number;
  terminateSeconds: number;
  /** How long a usage report is pending. */
  usageReportSeconds: number;
  /** Reads show an image's attributes, its launch permissions among them, as they were so long ago. */
  attributesVisibleAfterSeconds: number;
  /** Reads show tags as they were so long ago; of what is new, none. */
  tagsVisibleAfterSeconds: number;
  /**
   * Decisions by aws:ResourceTag go by the tags of so long ago: removals were denied right after a tagged creation,
   * https://github.com/hashicorp/packer/issues/8591.
   */
  tagsInForceAfterSeconds: number;
  /** Reads show the shares of snapshots as they were so long ago. */
  sharesVisibleAfterSeconds: number;
  /** Who may use a snapshot or an image goes by its shares of so long ago. */
  sharesInForceAfterSeconds: number;
  /**
   * Reads show an SSM parameter as it was so long ago: "due to eventual consistency of the underlying API", one that was
   * just made may not be found, https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1613; about one
   * time in a hundred, https://github.com/aws/aws-cdk-cli/pull/830.
   */
  parametersVisibleAfterSeconds: number;
  /** A deregistered image's snapshots are in use for so long: https://github.com/boto/boto3/issues/3019. */
  freedAfterSeconds: number;
  /** A deregistered image's name is taken for so long. */
  nameFreedAfterSeconds: number;
  /** https://docs.aws.amazon.com/kms/latest/developerguide/grant-manage.html#grant-eventual-consistency */
  grantActiveAfterSeconds: number;
  /** https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html */
  policyActiveAfterSeconds: number;
  /** How long a call takes: recorded ones 140 to 990 ms. */
  latencyMs: Latency;
  /**
   * The time of a signature may be off by so much:
   * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
   */
  signatureSeconds: number;
}>;

/** What AWS does in one way or another where nobody knows, or does only at times. */
export type Rules = Readonly<{
  /** What comes first in actions of which it wasn't recorded: `orderOf` in ec2/call.ts has those of which it was. */
  order: 'authorization' | 'existence';
  /** Whether a made-up ID of 17 digits may be malformed. */
  structuredIds: boolean;
  /** Whether an AMI in the Recycle Bin keeps its name: it says nowhere. */
  binKeepsNames: boolean;
  /** Whether a pending snapshot that is deleted stays, and takes its slot, until it would have completed. */
  deletesPendingLate: boolean;
  /** Whether CopyImage keeps that instances take IMDSv2 only: it says nowhere. */
  copyKeepsImds: boolean;
  /** Whether a parameter's data type stays what it was, where one of the two is AMIs': not shown by any record. */
  fixedDataTypes: boolean;
  /** Lists that aren't asked for pages come in pages of so many. */
  pageSize: number;
  /** How much of AWS's request rates is left to those who call here: 1 is all, ½ with somebody who takes half; 0 is no rates. */
  requestRates: number;
}>;

/** Nothing is seen late, or in force late: for a timeline in ideal seconds, or a count of calls. */
export const inTime = {
  visibleAfterSeconds: 0,
  goneAfterSeconds: 0,
  namesSnapshotsAfterSeconds: 0,
  attributesVisibleAfterSeconds: 0,
  tagsVisibleAfterSeconds: 0,
  tagsInForceAfterSeconds: 0,
  sharesVisibleAfterSeconds: 0,
  sharesInForceAfterSeconds: 0,
  parametersVisibleAfterSeconds: 0,
  freedAfterSeconds: 0,
  nameFreedAfterSeconds: 0,
  grantActiveAfterSeconds: 0,
  policyActiveAfterSeconds: 0,
} satisfies Partial<Timings>;

/** Of a scenario: nothing is late, and nothing that nobody knows is hard. */
export const ideal: Readonly<{ timings: Timings; rules: Rules }> = {
  timings: {
    ...inTime,
    secondsPerGiB: 0.02,
    baseSeconds: 0.1,
    registerSeconds: 0,
    launchSeconds: 5,
    terminateSeconds: 20,
    usageReportSeconds: 3600,
    latencyMs: 0,
    signatureSeconds: 300,
  },
  rules: {
    order: 'authorization',
    structuredIds: false,
    binKeepsNames: false,
    deletesPendingLate: false,
    copyKeepsImds: true,
    fixedDataTypes: false,
    pageSize: Number.POSITIVE_INFINITY,
    requestRates: 0,
  },
};

const hard = {
  timings: {
    visibleAfterSeconds: 2,
    goneAfterSeconds: 2,
    registerSeconds: 0.5,
    namesSnapshotsAfterSeconds: 1,
    attributesVisibleAfterSeconds: 2,
    tagsVisibleAfterSeconds: 2,
    tagsInForceAfterSeconds: 10,
    sharesVisibleAfterSeconds: 2,
    sharesInForceAfterSeconds: 2,
    parametersVisibleAfterSeconds: 2,
    freedAfterSeconds: 30,
    nameFreedAfterSeconds: 30,
    grantActiveAfterSeconds: 2,
    policyActiveAfterSeconds: 2,
  },
  rules: {
    order: 'existence',
    structuredIds: true,
    binKeepsNames: true,
    deletesPendingLate: true,
    copyKeepsImds: false,
    fixedDataTypes: true,
    pageSize: 5,
    requestRates: 1,
  },
} satisfies Readonly<{ timings: Partial<Timings>; rules: Partial<Rules> }>;

/**
 * What is hard only where SIMULATOR_HARD lists it: of `order`, nobody knows which of the two AWS does. `npm test` plays
 * one, and the night both.
 */
const onRequest: readonly (keyof typeof hard.timings | keyof typeof hard.rules)[] = ['order'];

function isHard(name: string): boolean {
  const requested = (process.env.SIMULATOR_HARD ?? '').split(',');
  return !onRequest.some((one) => one === name) || requested.includes(name);
}

function byDefault<T extends object>(easy: T, hardened: Partial<T>): T {
  return { ...easy, ...Object.fromEntries(Object.entries(hardened).filter(([name]) => isHard(name))) };
}

/** How an AWS is of which a scenario says no more. */
export function settingsOf({
  timings,
  rules,
}: Readonly<{ timings?: Partial<Timings>; rules?: Partial<Rules> }>): typeof ideal {
  return {
    timings: { ...byDefault(ideal.timings, hard.timings), ...timings },
    rules: { ...byDefault(ideal.rules, hard.rules), ...rules },
  };
}
