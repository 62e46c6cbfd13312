import { DescribeImagesCommand, DescribeSnapshotAttributeCommand } from '@aws-sdk/client-ec2';
import { DescribeKeyCommand, GetKeyPolicyCommand, ListGrantsCommand } from '@aws-sdk/client-kms';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import { describeSnapshots, ownImages, ownSnapshots } from '../src/aws/describe.ts';
import { snapshotIdsOf } from '../src/image.ts';
import { tagKeys, tagPrefix } from '../src/tags.ts';
import type { Sandbox } from './sandbox.ts';
import type { Ending } from './scenarios.ts';

/** One run: of which AMI and into where, what was to come of it, and what the action was asked and said of itself. */
export type Played = Readonly<{
  amiId: string;
  regions: readonly string[];
  ends: Ending;
  conclusion: string;
  postConclusion: string;
  outputs: Readonly<Record<string, string>>;
  inputs: Readonly<Record<string, string>>;
  /** The policy of the source key before the run, where the run changes it. */
  keyPolicy: string | undefined;
}>;

type Finding = string | false | undefined;

function onlyTexts(findings: readonly Finding[]): string[] {
  return findings.filter((one) => typeof one === 'string');
}

/** What was done a moment ago may be seen late: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html */
const looks = 6;

/** What is not as it should be after a run, by AWS's word rather than the action's; nothing if all is well. */
export async function problemsAfter(sandbox: Sandbox, played: Played): Promise<string[]> {
  const words = wordProblems(played);
  for (let look = 1; ; look += 1) {
    const found = await Promise.all([
      sourceProblems(sandbox, played),
      ...played.regions.map((region) => targetProblems(sandbox, played, region)),
    ]);
    const seen = onlyTexts(found.flat());
    // A run that says itself that it failed needs no second look.
    if (seen.length === 0 || words.length > 0 || look === looks) return [...words, ...seen];
    await sandbox.source.sleep(sandbox.lagSeconds * 1000);
  }
}

function wordProblems({ regions, ends, conclusion, postConclusion, outputs }: Played): string[] {
  const expected = ends === 'cancelled' ? 'cancelled' : 'success';
  const targets = JSON.parse(outputs.targets || '[]') as { region: string; status: string }[];
  const statuses = targets.map(({ region, status }) => `${region} ${status}`).join(', ');
  const wanted = regions.map((region) => `${region} ${ends}`).join(', ');
  return onlyTexts([
    conclusion !== expected && `main ended in ${conclusion}, not in ${expected}`,
    postConclusion !== 'success' && `post ended in ${postConclusion}`,
    ends !== 'cancelled' && statuses !== wanted && `the output targets says ${statuses || 'nothing'}, not ${wanted}`,
  ]);
}

/** The policy of the source key, to compare what it is after a run with what it was before. */
export async function readKeyPolicy({ source, settings }: Sandbox): Promise<string> {
  const command = new GetKeyPolicyCommand({ KeyId: settings.sourceKey, PolicyName: 'default' });
  return (await source.kms(command)).Policy ?? '';
}

async function grantsNaming({ source, settings }: Sandbox, amiId: string): Promise<string[]> {
  const found: string[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await source.kms(new ListGrantsCommand({ KeyId: settings.sourceKey, Limit: 100, Marker }));
    found.push(...(page.Grants ?? []).flatMap(({ Name, GrantId }) => (Name?.includes(amiId) ? `${GrantId}` : [])));
    if (!page.Truncated) return found;
    Marker = page.NextMarker;
  }
}

/** The source account has what it had: no copy, no mark, no share, no grant, no statement. */
async function sourceProblems(sandbox: Sandbox, { amiId, keyPolicy }: Played): Promise<Finding[]> {
  const { source, settings } = sandbox;
  const intermediates = await ownImages(source, { Name: `tag:${tagKeys.sourceAmi}`, Values: [amiId] });
  const { Images: [image] = [] } = await source.ec2(new DescribeImagesCommand({ ImageIds: [amiId] }));
  if (image === undefined) return [`${amiId} is gone`];
  const shares = await Promise.all(
    snapshotIdsOf(image).map(async (SnapshotId) => {
      const Attribute = 'createVolumePermission';
      const answer = await source.ec2(new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute }));
      return (answer.CreateVolumePermissions ?? []).map(({ UserId }) => `${SnapshotId} is shared with ${UserId}`);
    }),
  );
  const grants = await grantsNaming(sandbox, amiId);
  return [
    ...intermediates.map(({ ImageId }) => `${ImageId}, the encrypted copy, is still there`),
    ...(image.Tags ?? []).map(({ Key = '' }) => Key.startsWith(tagPrefix) && `${amiId} still has the tag ${Key}`),
    ...shares.flat(),
    ...grants.map((id) => `grant ${id} on ${settings.sourceKey} is still there`),
    // Where a scenario has none of its own in it, another's may be in it at this moment.
    keyPolicy !== undefined &&
      (await readKeyPolicy(sandbox)) !== keyPolicy &&
      `the policy of ${settings.sourceKey} isn't what it was`,
  ];
}

/** The target has one AMI of the source, as the outputs say, under its own key, and what was asked for besides. */
async function targetProblems(sandbox: Sandbox, played: Played, region: string): Promise<Finding[]> {
  const { amiId, ends, outputs, inputs } = played;
  const { settings, runUrl } = sandbox;
  const place = sandbox.target(region);
  const images = await ownImages(place, { Name: `tag:${tagKeys.sourceAmi}`, Values: [amiId] });
  const there = images.map(({ ImageId, State }) => `${ImageId} ${State}`).join(', ');
  if (ends === 'planned' || ends === 'cancelled') {
    const copies = await ownSnapshots(place, { Name: `tag:${tagKeys.sourceAmi}`, Values: [amiId] });
    const left = [there, ...copies.map(({ SnapshotId }) => SnapshotId)].filter((one) => one !== '').join(', ');
    return [left !== '' && `${region} has ${left}, though the run was ${ends}`];
  }
  const ids = JSON.parse(outputs['ami-ids'] || '{}') as Record<string, Record<string, string>>;
  const told = ids[settings.targetAccount]?.[region];
  const [image] = images;
  if (image === undefined || there !== `${told} available`)
    return [`${region} has ${there || 'no AMI'}, and the output ami-ids says ${told}`];
  const { KeyMetadata: key } = await place.kms(new DescribeKeyCommand({ KeyId: settings.targetKey }));
  const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
  const parameter = inputs['ssm-parameter'];
  const value = parameter && (await place.ssm(new GetParameterCommand({ Name: parameter }))).Parameter?.Value;
  return [
    ...snapshots.flatMap(({ SnapshotId, Encrypted, KmsKeyId, State, Tags = [] }) => [
      !(Encrypted && KmsKeyId === key?.Arn) && `${SnapshotId} is under ${KmsKeyId ?? 'no key'}, not ${key?.Arn}`,
      State !== 'completed' && `${SnapshotId} is ${State}`,
      !Tags.some(({ Key, Value }) => Key === tagKeys.run && Value === runUrl) && `${SnapshotId} names another run`,
      Tags.some(({ Key }) => Key === tagKeys.lease) && `${SnapshotId} still has its lease`,
    ]),
    parameter !== undefined && value !== told && `${parameter} holds ${value}, not ${told}`,
    inputs['deprecate-after'] !== undefined && !image.DeprecationTime && `${told} has no deprecation date`,
    inputs['deregistration-protection'] === 'on' &&
      !image.DeregistrationProtection?.startsWith('enabled') &&
      `${told} isn't protected`,
  ];
}
