import { isImageDescription } from './image.ts';
import { noteOthers } from './inputs/actions.ts';
import { type ExpectedPlan, readExpectedPlan } from './inputs/expected-plan.ts';
import { readHubKey } from './inputs/hub-key.ts';
import { type Publication, readPublication } from './inputs/publication.ts';
import { type Reach, readReach } from './inputs/reach.ts';
import { InputError, Reader, type ReadFile, type RunContext, runValues } from './inputs/reader.ts';
import { readScanGate, type ScanGate } from './inputs/scan.ts';
import { noteUnnamed, readSourceImage, readSourceOwners, type SourceImage } from './inputs/source-image.ts';
import { readTags } from './inputs/tags.ts';
import type { EnabledRegions } from './inputs/targets.ts';
import type { Yaml } from './inputs/yaml.ts';
import { fill, shortestSource, shortestTarget } from './template.ts';
import { readTextFile } from './text-file.ts';

export type Route = (typeof routes)[number];
const routes = ['auto', 'register', 'copy'] as const;
type OnExisting = (typeof onExistings)[number];
const onExistings = ['reuse', 'fail', 'replace'] as const;
type Topology = (typeof topologies)[number];
const topologies = ['direct', 'regional-hub'] as const;

/** What the user asked for, checked as far as it can be without a call. */
export type Request = Reach &
  Readonly<{
    image: SourceImage;
    /** Who may own it, as DescribeImages has it: `self`, account IDs, aliases. */
    sourceOwners: readonly string[];
    /** What a scan of the source AMI must have come to. */
    scan: ScanGate | undefined;
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
    /** Whether a problem of one target ends the run, or that target is left out. */
    onProblem: 'fail' | 'skip';
    failFast: boolean;
    keyPreflight: 'fail' | 'warn';
    maxParallel: number;
    /** Of a time-based copy. */
    copyMinutes: number | undefined;
    pollSeconds: number;
  }>;

/**
 * What inputs are read with: the text of the files that they name; with `target-regions: all`, the accounts' regions; what
 * reads YAML, where they may hold some.
 */
export type InputSources = Readonly<{
  readFile?: ReadFile;
  enabled?: EnabledRegions | undefined;
  yaml?: Yaml | undefined;
}>;

/**
 * The request that the inputs make, checked as far as it can be without a call.
 * `get` gives the raw text of an input, empty where it is not set.
 * @throws InputError that lists every problem
 */
export function readInputs(get: (name: string) => string, run: RunContext, sources: InputSources = {}): Request {
  const reader = new Reader(get, sources.yaml);
  const asked = readRequest(reader, run, sources);
  const request = { ...asked, image: asked.image ?? noteUnnamed(reader) };
  noteOthers(reader, 'share');
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
}

/** A request in which nothing may name the source AMI. */
export type SourcelessRequest = Omit<Request, 'image'> & Readonly<{ image: SourceImage | undefined }>;

/** The same for an action that has other inputs beside these; what is wrong is noted in `reader`. */
export function readRequest(
  reader: Reader,
  run: RunContext,
  { readFile = readTextFile, enabled }: InputSources,
): SourcelessRequest {
  const reach = readReach(reader, run, { enabled, needsKey: true });
  const { region, partition } = reach.source;
  const request: SourcelessRequest = {
    ...reach,
    image: readSourceImage(reader, { region, readFile }),
    sourceOwners: readSourceOwners(reader),
    scan: readScanGate(reader),
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
    onProblem: reader.oneOf('on-problem', ['fail', 'skip']),
    failFast: reader.flag('fail-fast'),
    keyPreflight: reader.oneOf('key-preflight', ['fail', 'warn']),
    maxParallel: reader.whole('max-parallel', 1, 1000),
    copyMinutes: readCopyMinutes(reader),
    pollSeconds: reader.whole('poll-interval', 1, 3600),
  };
  if (request.failFast && request.onProblem === 'skip')
    reader.note('on-problem', 'skip', 'cannot be used with fail-fast, which stops all targets at the first failure');
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

/** None at all is another wish than no input: `{}`. */
function readIntermediateTags(reader: Reader): Request['intermediateTags'] {
  const text = reader.optional('intermediate-tags');
  return text === undefined ? undefined : readTags(reader, 'intermediate-tags', text);
}

/** https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html */
function readCopyMinutes(reader: Reader): number | undefined {
  if (reader.text('copy-duration-minutes') === '') return undefined;
  const minutes = reader.whole('copy-duration-minutes', 15, 2880);
  if (minutes % 15 !== 0) reader.note('copy-duration-minutes', String(minutes), 'expected a multiple of 15');
  return minutes;
}
