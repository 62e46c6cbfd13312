import { isImageDescription } from './image.ts';
import { type ExpectedPlan, readExpectedPlan } from './inputs/expected-plan.ts';
import { type Publication, readPublication } from './inputs/publication.ts';
import { InputError, keyProblem, Reader, type ReadFile, type RunContext, runValues } from './inputs/reader.ts';
import { readScanGate, type ScanGate } from './inputs/scan.ts';
import { readSettings, type Settings } from './inputs/settings.ts';
import { readSourceImage, readSourceOwners, type SourceImage } from './inputs/source-image.ts';
import { readTags } from './inputs/tags.ts';
import { type EnabledRegions, readTargets, type TargetRequest } from './inputs/targets.ts';
import { fill, needsSourceImage, shortestSource, shortestTarget, unknownPlaceholders } from './template.ts';
import { readTextFile } from './text-file.ts';

export type Route = (typeof routes)[number];
const routes = ['auto', 'register', 'copy'] as const;
export type OnExisting = (typeof onExistings)[number];
const onExistings = ['reuse', 'fail', 'replace'] as const;
export type Topology = (typeof topologies)[number];
const topologies = ['direct', 'regional-hub'] as const;

/** What the user asked for, checked as far as it can be without a call. */
export type Request = Settings &
  Readonly<{
    image: SourceImage;
    /** Who may own it, as DescribeImages has it: `self`, account IDs, aliases. */
    sourceOwners: readonly string[];
    /** What a scan of the source AMI must have come to. */
    scan: ScanGate | undefined;
    /** Whether the targets are in every region that their accounts have enabled, wanted or not. */
    allRegions: boolean;
    targets: readonly TargetRequest[];
    description: string | undefined;
    route: Route;
    /** Whether the user means it to register an image whose billing is lost that way. */
    allowLostBilling: boolean;
    onExisting: OnExisting;
    copyTags: boolean;
    /** What encrypted copies bear instead of the targets' tags; values still hold placeholders. */
    intermediateTags: Readonly<Record<string, string>> | undefined;
    publication: Publication;
    topology: Topology;
    /** The key of the source account in each hub's region; `{region}` is still to fill. */
    hubKmsKey: string | undefined;
    dryRun: boolean;
    /** The plan that was approved, which this run's must be before anything is written. */
    expectPlan: ExpectedPlan | undefined;
    /** Whether only what dead runs left is taken back; then no source AMI need be named. */
    sweep: boolean;
    /** Whether a problem of one target ends the run, or that target is left out. */
    onProblem: 'fail' | 'skip';
    failFast: boolean;
    keyPreflight: 'fail' | 'warn';
    maxParallel: number;
    /** Of a time-based copy. */
    copyMinutes: number | undefined;
    pollSeconds: number;
    /** After so long the run gives up; `cut` is what bounds it, where that is sooner than by default. */
    timeout: Readonly<{ minutes: number; cut: string | undefined }>;
  }>;

/** What inputs are read with: the text of the files that they name; with `target-regions: all`, the accounts' regions. */
export type InputSources = Readonly<{ readFile?: ReadFile; enabled?: EnabledRegions | undefined }>;

/**
 * The request that the inputs make, checked as far as it can be without a call.
 * `get` gives the raw text of an input, empty where it is not set.
 * @throws InputError that lists every problem
 */
export function readInputs(
  get: (name: string) => string,
  run: RunContext,
  { readFile = readTextFile, enabled }: InputSources = {},
): Request {
  const reader = new Reader(get);
  const settings = readSettings(reader, run);
  const { region, partition } = settings.source;
  const sweep = reader.flag('sweep');
  const request: Request = {
    ...settings,
    image: readSourceImage(reader, { region, readFile, optional: sweep }),
    sourceOwners: readSourceOwners(reader),
    scan: readScanGate(reader),
    allRegions: reader.list('target-regions').includes('all'),
    targets: readTargets(reader, { region, partition, enabled }, run),
    description: readDescription(reader, run),
    route: reader.oneOf('route', routes),
    allowLostBilling: reader.flag('allow-lost-billing'),
    onExisting: reader.oneOf('on-existing', onExistings),
    copyTags: reader.flag('copy-tags'),
    intermediateTags: readIntermediateTags(reader),
    publication: readPublication(reader, partition, run),
    topology: reader.oneOf('topology', topologies),
    hubKmsKey: readHubKey(reader, region, run),
    dryRun: reader.flag('dry-run'),
    expectPlan: readExpectedPlan(reader, readFile),
    sweep,
    onProblem: reader.oneOf('on-problem', ['fail', 'skip']),
    failFast: reader.flag('fail-fast'),
    keyPreflight: reader.oneOf('key-preflight', ['fail', 'warn']),
    maxParallel: reader.whole('max-parallel', 1, 1000),
    copyMinutes: readCopyMinutes(reader),
    pollSeconds: reader.whole('poll-interval', 1, 3600),
    timeout: readTimeout(reader, settings, run),
  };
  if (sweep) checkSweep(reader, request);
  if (request.failFast && request.onProblem === 'skip')
    reader.note('on-problem', 'skip', 'cannot be had with fail-fast, which stops all targets at the first failure');
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
}

function readDescription(reader: Reader, run: RunContext): string | undefined {
  const template = reader.templateValue('target-ami-description', reader.optional('target-ami-description'));
  const values = { ...runValues(run), ...shortestTarget, ...shortestSource };
  return reader.checked('target-ami-description', template, {
    fits: (text) => isImageDescription(fill(text, values)),
    expected: 'an AMI description has at most 255 ASCII characters',
  });
}

/** A job on GitHub's own runners has six hours. */
const defaultMinutes = 350;

/** A default is cut to the time for which sessions can be had; what the user gave is a problem there. */
function readTimeout(reader: Reader, { credentials }: Settings, { date, lastMoment }: RunContext): Request['timeout'] {
  const given = reader.optional('timeout-minutes');
  const minutes = given === undefined ? defaultMinutes : reader.whole('timeout-minutes', 1, 7200);
  const last = lastMoment?.(credentials);
  const most = last === undefined ? Number.POSITIVE_INFINITY : Math.floor((last - date.getTime()) / 60_000);
  if (!(minutes > most)) return { minutes, cut: undefined };
  const end = new Date(last ?? 0).toISOString().slice(0, 16).replace('T', ' ');
  const why = `GitHub gives a job ID tokens only for some hours, and sessions by this job's last one, less 20 minutes for taking back, end at ${end} UTC`;
  if (given !== undefined || most < 1) {
    const longer = 'a larger role-duration-seconds moves that moment';
    reader.note('timeout-minutes', given ?? '', `expected at most ${Math.max(0, most)}: ${why}; ${longer}`);
  }
  return { minutes: most, cut: why };
}

/** None at all is another wish than no input: `{}`. */
function readIntermediateTags(reader: Reader): Request['intermediateTags'] {
  const text = reader.optional('intermediate-tags');
  return text === undefined ? undefined : readTags(reader, 'intermediate-tags', text);
}

/** The key of the hubs; each is in a region of its own, so that one which names a region is looked at there. */
function readHubKey(reader: Reader, sourceRegion: string, run: RunContext): string | undefined {
  const template = reader.templateValue('hub-kms-key', reader.optional('hub-kms-key'));
  if (template === undefined) return undefined;
  const region = /^arn:[^:]*:kms:([a-z\d-]+):/.exec(template)?.[1] ?? sourceRegion;
  const problem = needsSourceImage(template)
    ? 'it cannot hold {name} or {source-ami}'
    : keyProblem(fill(template, { ...shortestTarget, ...runValues(run), region }), region, undefined);
  if (problem !== undefined && unknownPlaceholders(template).length === 0)
    reader.note('hub-kms-key', template, problem);
  return template;
}

/** A sweep is of no AMI in particular, and has no plan. */
function checkSweep(reader: Reader, { dryRun, expectPlan, targets }: Request): void {
  if (dryRun) reader.note('dry-run', 'true', 'cannot be had with sweep, which takes back what it finds');
  if (expectPlan !== undefined) reader.note('expect-plan-digest', expectPlan.digest, 'a sweep has no plan');
  for (const { roleArn = '' } of targets)
    if (needsSourceImage(roleArn))
      reader.note('target-role-arn', roleArn, '{name} and {source-ami} are not known in a sweep');
}

/** https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html */
function readCopyMinutes(reader: Reader): number | undefined {
  if (reader.text('copy-duration-minutes') === '') return undefined;
  const minutes = reader.whole('copy-duration-minutes', 15, 2880);
  if (minutes % 15 !== 0) reader.note('copy-duration-minutes', String(minutes), 'expected a multiple of 15');
  return minutes;
}
