import {
  CreateTagsCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  GetConsoleOutputCommand,
  GetConsoleScreenshotCommand,
  type Image,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { errorMessage, isTransient, placeName, StepError } from '../aws/errors.ts';
import { lookedFor } from '../aws/retry.ts';
import type { Result } from '../outcome.ts';
import { hasFailed, testTag } from '../plan/boot.ts';
import type { Launch } from '../plan/facts.ts';
import type { BootTest } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { maxTags, tagKeys } from '../tags.ts';
import { keyRemedy, neverBy, refusalVerdict, type Verdict } from './boot-verdict.ts';
import { watch } from './boot-watch.ts';
import { consoleLines, screenshot } from './console.ts';
import { ended, isLaunchedBy, launchToken, leasedInstances, terminate } from './instances.ts';
import { launchersTold } from './launching.ts';
import { onceSeen, patiently } from './patiently.ts';
import { type Asking, dryRun, type Ec2Question, idOr, noResource, type Question } from './question.ts';

/** A launch, and by which token AWS tells it from others. */
type Launching = Readonly<{ image: Image; launch: Launch; token: string; leaseId: string }>;

/**
 * One instance without a key pair or a public address; it, its volumes and its interface end together, whatever the AMI
 * says. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
 */
function launchCommand(
  { site, settings }: BootTest,
  { image, launch, token, leaseId }: Launching,
): RunInstancesCommand {
  const { profile } = site;
  const Tags = [...settings.tags, { Key: tagKeys.lease, Value: leaseId }];
  return new RunInstancesCommand({
    ImageId: image.ImageId,
    InstanceType: launch.type as never,
    ...{ MinCount: 1, MaxCount: 1, ClientToken: token },
    InstanceInitiatedShutdownBehavior: 'terminate',
    NetworkInterfaces: [
      {
        ...{ DeviceIndex: 0, SubnetId: launch.subnet, AssociatePublicIpAddress: false, DeleteOnTermination: true },
        ...(launch.groups.length > 0 && { Groups: [...launch.groups] }),
        // Zero overrides the subnet, as https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkInterface.html
        // says; EC2's console sends it with RunInstances, too.
        ...(launch.givesIpv6 && { Ipv6AddressCount: 0 }),
      },
    ],
    ...(profile !== undefined && {
      IamInstanceProfile: profile.startsWith('arn:') ? { Arn: profile } : { Name: profile },
    }),
    // Accounts and organizations let nothing else be launched; the agent of Systems Manager takes this way first, and from
    // 3.2.1041 on no other: https://github.com/aws/amazon-ssm-agent/blob/mainline/RELEASENOTES.md
    // An account's default may show tags there, and then no key may hold a space or a slash:
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
    MetadataOptions: { HttpTokens: 'required', InstanceMetadataTags: 'disabled' },
    BlockDeviceMappings: (image.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) =>
      Ebs === undefined ? [] : [{ DeviceName, Ebs: { DeleteOnTermination: true } }],
    ),
    // Of all that is made, organizations demand tags.
    TagSpecifications: (['instance', 'volume', 'network-interface'] as const).map((ResourceType) => ({
      ResourceType,
      Tags,
    })),
  });
}

function verdictTag(ImageId: string, settings: BootTest['settings'], is: 'passed' | 'failed'): CreateTagsCommand {
  return new CreateTagsCommand({ Resources: [ImageId], Tags: [testTag(is, settings.test)] });
}

const untested = 'the AMI is published untested';

export function asksToBoot(operation: BootTest, asking: Asking): Question[] {
  const { settings, of } = operation;
  const known = idOr(asking.standIns.image, of[0]);
  const InstanceId = noInstance;
  const lost = 'what an instance that does not come up shows is not told';
  return [
    ...asksToLaunch(operation, asking, known),
    dryRun(new TerminateInstancesCommand({ InstanceIds: [InstanceId] })),
    dryRun(new DescribeInstancesCommand({})),
    dryRun(new DescribeInstanceStatusCommand({})),
    dryRun(new GetConsoleOutputCommand({ InstanceId }), lost),
    dryRun(new GetConsoleScreenshotCommand({ InstanceId }), lost),
    dryRun(verdictTag(known, settings, 'passed'), `the tag ${tagKeys.bootTest} does not tell what the test has shown`),
  ].map((question) => (question.ids.includes(InstanceId) ? { ...question, standsIn: true } : question));
}

/**
 * An earlier AMI stands in for one that isn't there yet. It may bear other tags and be under another key, so what AWS says
 * of it is no last word: it is asked again with the AMI itself.
 */
function asksToLaunch(operation: BootTest, asking: Asking, known: string): Ec2Question[] {
  const { site, settings, place, image: ref } = operation;
  const { source, leaseId } = asking;
  const [launch] = site.sizes[0] ?? [];
  if (launch === undefined) return [];
  const isEarlier = known === noResource.image && settings.earlier !== undefined;
  // Devices are the source's; an earlier AMI may have others.
  const devices = isEarlier ? { BlockDeviceMappings: [] } : {};
  const image = { ...source.image, ...devices, ImageId: isEarlier ? settings.earlier : known };
  const again = 'it is asked again with the new AMI as soon as there is one';
  const without = isEarlier ? again : settings.required ? undefined : untested;
  const token = launchToken(leaseId, place, 0);
  const question = dryRun(launchCommand(operation, { image, launch, leaseId, token }), without);
  const madeBy = 'madeBy' in ref ? asking.operation(ref.madeBy) : undefined;
  return [
    {
      ...question,
      key: isEarlier ? `${question.key} of an earlier AMI` : question.key,
      on: [...launchedOn],
      // Of what another run is making yet, AWS may say no more than that.
      standsIn: question.standsIn || (madeBy?.kind === 'reuse' && madeBy.waits),
    },
  ];
}

/** What RunInstances is asked for. */
const launchedOn = ['image', 'instance', 'volume', 'network-interface', 'subnet', 'security-group'] as const;

/** An ID that no instance has; the published policies' denials leave it out. */
const noInstance = 'i-0ffffffffffffffff';

/**
 * Launches the AMI, and sees whether it comes up; the instance is ended in any case.
 * @throws StepError where it doesn't come up, or could not be tested and is to be
 */
export async function boot(operation: BootTest, scope: Scope): Promise<Result> {
  const { run, place, resultOf } = scope;
  const { settings, image: ref } = operation;
  const made = 'madeBy' in ref ? resultOf(ref.madeBy) : undefined;
  const { image } = made ?? {};
  if (made === undefined || image === undefined) throw new Error('there is no image to test');
  const { ImageId = '' } = image;
  const where = placeName(place);
  const told = await tryAll(operation, scope, image);
  if (told.is === 'up') {
    await mark(scope, image, { operation, is: 'passed' });
    await tellLaunchers(operation, scope);
    return { ...made, cameUp: true };
  }
  if (told.is === 'failed') {
    await mark(scope, image, { operation, is: 'failed' });
    const key = operation.kmsKeyArn ?? '';
    const look = `${ImageId} stays for a look, unpublished, with the tag ${tagKeys.bootTest}; mend the image and bake it anew`;
    const remedy = told.byKey ? keyRemedy(settings.principal, key) : look;
    throw new StepError(`The boot test of ${ImageId} in ${where} failed`, new Error(told.why), remedy);
  }
  const again =
    'run it again later, or name other subnets or another type (boot-subnet, boot-instance-type); boot-required: false lets an untested AMI pass';
  const remedy = told.remedy ?? again;
  if (settings.required || hasFailed(image))
    throw new StepError(`${ImageId} in ${where} could not be tested`, new Error(told.why), remedy);
  run.log.warn(
    `${where}: ${ImageId} could not be tested, and is published untested: ${told.why}${told.remedy === undefined ? '' : `. What to do: ${told.remedy}`}`,
  );
  return { ...made, undone: 'not possible' };
}

/** The test shows that one role can launch the AMI; of the others who are to, what the key's policy and grants tell. */
async function tellLaunchers({ settings }: BootTest, { run, place }: Scope): Promise<void> {
  const where = placeName(place);
  run.log.line(where, `${settings.principal} can launch the AMI, and it comes up`);
  for (const what of await launchersTold(place, settings.launchers)) run.log.line(where, what);
}

/** A launch that told nothing, and why. */
type Untold = Readonly<{ launch: Launch; as: string; why: string }>;

/** What came of the launches of one size. */
type Tried = Readonly<{ verdict: Verdict | undefined; untold: readonly Untold[] }>;

/** Zones, and lists of them. */
const zoneNames = /(?:, )?\b[a-z]+(?:-[a-z]+)+-\d[a-z]\b/g;

/** Each reason once, with the launches that it is of: that AWS names their types, zones and subnets makes it no other. */
function reasonsOf(untold: readonly Untold[]): string {
  const reason = ({ why, launch }: Untold) =>
    [launch.type, launch.subnet].reduce((text, name) => text.replaceAll(name, ''), why).replace(zoneNames, '');
  const byReason = [...Map.groupBy(untold, reason).values()];
  return byReason.map((all) => `${all.map(({ as }) => as).join(', ')}: ${all[0]?.why}`).join('; ');
}

/** One size after the other: where the AMI doesn't come up, one size up has the last word. */
async function tryAll(operation: BootTest, scope: Scope, image: Image): Promise<Verdict> {
  const untold: Untold[] = [];
  let failed: Verdict | undefined;
  let count = 0;
  for (const launches of operation.site.sizes) {
    const tried = await trySize(operation, scope, { image, launches, count });
    untold.push(...tried.untold);
    count += launches.length;
    const { verdict } = tried;
    if (verdict?.is === 'up' || (verdict?.is === 'failed' && verdict.byKey)) return verdict;
    if (verdict?.is === 'failed') failed = verdict;
    if (verdict?.is === 'never') return failed ?? { ...verdict, why: reasonsOf(untold) };
  }
  return failed ?? { is: 'elsewhere', why: reasonsOf(untold) };
}

/** One launch after the other, until one tells. */
async function trySize(
  operation: BootTest,
  scope: Scope,
  { image, launches, count }: Readonly<{ image: Image; launches: readonly Launch[]; count: number }>,
): Promise<Tried> {
  const { run, place } = scope;
  const untold: Untold[] = [];
  for (const [index, launch] of launches.entries()) {
    if (count + index > 0) await endEarlier(scope);
    const token = launchToken(run.leaseId, place, count + index);
    const verdict = await tryOne(operation, scope, { image, launch, token, leaseId: run.leaseId });
    if (verdict.is === 'up') return { verdict, untold };
    const { why } = verdict;
    const as = `${launch.type} in ${launch.zone} (${launch.subnet})`;
    if (verdict.is === 'failed') return { verdict: { ...verdict, why: `as ${as}: ${why}` }, untold };
    untold.push({ launch, as, why });
    run.log.line(placeName(place), `not tested as ${as}: ${why}`);
    if (verdict.is === 'never') return { verdict, untold };
  }
  return { verdict: undefined, untold };
}

/** What a refused launch may have made all the same is seen some seconds later. */
const looksSeconds = [0, 1, 2, 4];

/** Before another launch, what came of those before has ended: capacity is refused by a server error, which tells nothing. */
async function endEarlier({ run, place }: Scope): Promise<void> {
  const found = await lookedFor(place, looksSeconds, async () => {
    const leased = await leasedInstances(place, [run.leaseId], run.source.imageId);
    const own = leased.filter((one) => isLaunchedBy(one, run.leaseId, place));
    return own.length > 0 ? own : undefined;
  });
  for (const { InstanceId = '' } of found ?? []) {
    await terminate(place, InstanceId);
    await ended(place, InstanceId);
  }
}

async function tryOne(operation: BootTest, scope: Scope, launching: Launching): Promise<Verdict> {
  const { run, place } = scope;
  const { launch, image } = launching;
  let id: string;
  try {
    id = await launched(operation, scope, launching);
  } catch (error) {
    if (place.signal.aborted) throw error;
    return isTransient(error) ? { is: 'elsewhere', why: errorMessage(error) } : refusalVerdict(error);
  }
  const as = `${launch.type} in ${launch.zone}`;
  run.log.line(placeName(place), `testing ${image.ImageId} by ${id}, a ${as} (${launch.subnet})`);
  try {
    const verdict = await watch(operation, scope, { id, launch }).catch((error: unknown): Verdict => {
      if (place.signal.aborted) throw error;
      return neverBy(error);
    });
    if (verdict.is === 'up') {
      const shown = `${operation.settings.principal} can launch ${image.ImageId}, and it comes up (${as})`;
      run.log.line(placeName(place), shown);
      return verdict;
    }
    if (verdict.is !== 'failed') return verdict;
    run.log.line(placeName(place), `${id} did not come up: ${verdict.why}`);
    return { ...verdict, why: `${verdict.why}${await look(scope, id, launch)}` };
  } finally {
    await end(scope, id);
  }
}

/** Launches the AMI; policies go by its tags, which come into force late. */
async function launched(operation: BootTest, { place }: Scope, launching: Launching): Promise<string> {
  const command = launchCommand(operation, launching);
  const { Instances: [instance] = [] } = await patiently(place, () => onceSeen(place, () => place.ec2(command)));
  if (instance?.InstanceId === undefined) throw new Error('AWS named no instance');
  return instance.InstanceId;
}

/** Ends the instance, also where the run was told to stop; what can't be done here the clean-up does. */
async function end({ run, place }: Scope, id: string): Promise<void> {
  const { aborted } = place.signal;
  const last = place.until(run.host.clock.after(aborted ? endInHasteMs : endMs));
  try {
    await terminate(last, id);
    if (!aborted) await ended(last, id);
  } catch (error) {
    run.log.line(
      placeName(place),
      `${id} could not be seen to its end, and is looked for again: ${errorMessage(error)}`,
    );
  }
}

const endMs = 300_000;
/** After a cancel, the runner gives a step 7.5 s before it says so again. */
const endInHasteMs = 3000;

/** What an instance that didn't come up shows, read before it ends. That it can't be read hides no cause. */
async function look({ run, place }: Scope, id: string, { isNitro }: Launch): Promise<string> {
  const where = placeName(place);
  const reading = (what: string) => (error: unknown) => {
    run.log.line(where, `${what} of ${id} could not be read: ${errorMessage(error)}`);
    return undefined;
  };
  const picture = await screenshot(place, id).catch(reading('the screen'));
  if (picture !== undefined) run.picture(place, picture);
  const lines = await consoleLines(place, id, isNitro).catch(reading('the console'));
  if (lines === undefined || lines.length === 0) return '';
  for (const line of lines) run.log.line(where, `console: ${line}`);
  return `. The last lines of its console: ${lines.join(' | ')}`;
}

/** Says on the AMI what the test has shown. That it can't be said changes nothing of that. */
async function mark(
  { run, place }: Scope,
  { ImageId = '', Tags = [] }: Image,
  { operation, is }: Readonly<{ operation: BootTest; is: 'passed' | 'failed' }>,
): Promise<void> {
  const isFull = Tags.length >= maxTags && !Tags.some(({ Key }) => Key === tagKeys.bootTest);
  try {
    if (isFull) throw new Error('it bears 50 tags');
    await patiently(place, () => onceSeen(place, () => place.ec2(verdictTag(ImageId, operation.settings, is))));
  } catch (error) {
    if (place.signal.aborted) throw error;
    run.log.warn(
      `${placeName(place)}: ${ImageId} could not be tagged as having ${is} its boot test: ${errorMessage(error)}`,
    );
  }
}
