import type { Image, LaunchPermission, Tag } from '@aws-sdk/client-ec2';
import { takenByLaunch } from '../aws/key-users.ts';
import { type Difference, describedAs, notSet, snapshotDifferences, snapshotIdsOf } from '../image.ts';
import type { FindingKind } from '../inputs/audit.ts';
import type { Request } from '../inputs.ts';
import { maxTags, mergeTags, recalledTag, tagKeys, tagValue } from '../tags.ts';
import { fill, filledByAnyRun, needsSourceImage, type TemplateValues } from '../template.ts';
import { hasFailed } from './boot.ts';
import { unlikeness, whyUnlike } from './earlier.ts';
import type { PublishedFacts, Source, Target } from './facts.ts';
import { protectionStates } from './removal.ts';
import { launcherName } from './usage-report.ts';

/* What an audit makes of the facts: whether what there is in a target is what a share would make and publish. */

/** Something that isn't as it should be; a record of the output `findings`. */
export type AuditFinding = Readonly<{
  kind: FindingKind;
  account: string;
  region: string;
  /** The target's AMI, or what lies about. */
  id?: string;
  /** Only where it is: the others can do without the target. */
  optional?: true;
  why: string;
  differences?: readonly Readonly<{ field: string; expected: string; actual: string }>[];
}>;

/** What is compared with what. */
export type Auditing = Readonly<{ request: Request; source: Source; target: Target }>;

/** The AMI that stands for the target: the one of the asked name; else one that is alike, or the newest that is finished. */
export function auditedImage({ request, source, target }: Auditing): Image | undefined {
  const finished = target.existing.filter(
    (image) =>
      (image.State === 'available' || image.State === 'disabled') && tagValue(image, tagKeys.lease) === undefined,
  );
  const alike = (image: Image) => whyUnlike({ request, source }, target, image) === '';
  return finished.find(({ Name }) => Name === target.name) ?? finished.find(alike) ?? finished[0];
}

/** What the target's place fills into templates; what is of a run may be any run's. */
function valuesOf({ source, target }: Auditing): Partial<TemplateValues> {
  const { Name = '', ImageId = '' } = source.image;
  return { account: target.place.account, region: target.place.region, name: Name, 'source-ami': ImageId };
}

/** The SSM parameter that is to hold the AMI's ID; undefined where there is none, or each run has another. */
export function parameterOf(auditing: Auditing): string | undefined {
  return nameOfAnyRun(auditing, auditing.request.publication.ssmParameter);
}

/** The launch template that is to launch the AMI; undefined where there is none, or each run has another. */
export function templateOf(auditing: Auditing): string | undefined {
  return nameOfAnyRun(auditing, auditing.request.publication.launchTemplate?.template);
}

function nameOfAnyRun(auditing: Auditing, template: string | undefined): string | undefined {
  const name = template && fill(template, valuesOf(auditing));
  return name === undefined || /\{(date|sha|run-id|name)\}/.test(name) ? undefined : name;
}

/** Whether the image was recalled, and by which AMI's mark that is told. */
export function whyRecalled({ source }: Auditing, image: Image): string | undefined {
  const marked = [source.image, image].find((one) => tagValue(one, recalledTag) !== undefined);
  return marked && `${marked.ImageId} was recalled: ${tagValue(marked, recalledTag)}`;
}

/** In what an AMI, or how it is published, isn't what the inputs ask for. */
export function auditDifferences(auditing: Auditing, image: Image, published: PublishedFacts): Difference[] {
  const { request, source, target } = auditing;
  return [
    ...asked('State', 'available', image.State),
    ...(source.unread === undefined
      ? unlikeness({ request, source }, target, image)
      : snapshotDifferences(target.kmsKeyArn, image, target.parts.values())),
    ...descriptionDifferences(auditing, image),
    ...tagsDifferences(auditing, image),
    ...standingDifferences(request, image),
    ...permissionDifferences(request.publication.launchPermissions, published.launchPermissions),
    ...grantDifferences(target, published),
    ...deprecationDifferences(request, image),
    ...protectionDifferences(request, image),
    ...restoreDifferences(target, image, published),
    ...parameterDifferences(parameterOf(auditing), image, published),
    ...templateDifferences(auditing, image, published),
  ];
}

function asked(field: string, expected: string, actual: string | undefined): Difference[] {
  return expected === actual ? [] : [{ field, source: expected, target: actual || notSet, asked: true }];
}

function descriptionDifferences(auditing: Auditing, image: Image): Difference[] {
  const { description } = auditing.request;
  if (description === undefined && auditing.source.unread !== undefined) return [];
  const template = description ?? describedAs(auditing.source.image) ?? '';
  const values = description === undefined ? {} : valuesOf(auditing);
  const here = describedAs(image) ?? '';
  const fits = description === undefined ? here === template : filledByAnyRun(template, values).test(here);
  return fits
    ? []
    : [{ field: 'Description', source: fill(template, values) || 'none', target: here || notSet, asked: true }];
}

/** Tags that say which run made an AMI. */
const ofRun: readonly string[] = [tagKeys.run, tagKeys.commit];

/** The tags that the AMI was given, and the user's on its snapshots. What others added since says nothing. */
function tagsDifferences(auditing: Auditing, image: Image): Difference[] {
  const { request, source, target } = auditing;
  const { lineage = '' } = request.publication;
  const ours = {
    ...Object.fromEntries(ofRun.map((key) => [key, 'any'])),
    ...{ [tagKeys.sourceAmi]: source.imageId, [tagKeys.lineage]: fill(lineage, valuesOf(auditing)) },
  };
  const inherited = request.copyTags ? (source.image.Tags ?? []) : [];
  const users = target.request.tags;
  // As many as there is room for by either route, of a lineage or not.
  const { tags } = mergeTags(inherited, { users, ours }, maxTags - 4);
  const wanted = tags.filter(({ Key = '' }) => !ofRun.includes(Key));
  const usersTags = Object.entries(users).map(([Key, Value]) => ({ Key, Value }));
  return [
    ...tagDifferences(auditing, { wanted, of: '' }, image),
    ...snapshotIdsOf(image).flatMap((id) =>
      tagDifferences(auditing, { wanted: usersTags, of: ` of ${id}` }, target.parts.get(id) ?? {}),
    ),
  ];
}

/** That it came up in its boot test, and that one of a lineage is said to be published: by that, it counts as one. */
function standingDifferences({ publication: { lineage } }: Request, image: Image): Difference[] {
  const isPublished = lineage === undefined || tagValue(image, tagKeys.published) !== undefined;
  return [
    ...asked('the boot test', 'passed', hasFailed(image) ? tagValue(image, tagKeys.bootTest) : 'passed'),
    ...asked(`the tag ${tagKeys.published}`, 'set', isPublished ? 'set' : undefined),
  ];
}

function tagDifferences(
  auditing: Auditing,
  { wanted, of }: Readonly<{ wanted: readonly Tag[]; of: string }>,
  resource: Readonly<{ Tags?: Tag[] | undefined }>,
): Difference[] {
  const values = valuesOf(auditing);
  return wanted.flatMap(({ Key = '', Value = '' }) => {
    const actual = tagValue(resource, Key);
    // Only the user's tags are templates.
    const isTemplate = Object.hasOwn(auditing.target.request.tags, Key);
    const fits = isTemplate ? actual !== undefined && filledByAnyRun(Value, values).test(actual) : actual === Value;
    const expected = isTemplate ? fill(Value, values) : Value;
    return fits ? [] : [{ field: `the tag ${Key}${of}`, source: expected, target: actual ?? notSet, asked: true }];
  });
}

/** Who may launch, both ways: whoever was added since may launch what nobody meant them to. */
function permissionDifferences(wanted: readonly LaunchPermission[], actual: readonly LaunchPermission[]): Difference[] {
  const [names, here] = [wanted.map(launcherName), actual.map(launcherName)];
  const one = (name: string, source: string, target: string): Difference => ({
    ...{ field: `the launch permission of ${name}`, source, target, asked: true },
  });
  return [
    ...names.filter((name) => !here.includes(name)).map((name) => one(name, 'set', notSet)),
    ...here.filter((name) => !names.includes(name)).map((name) => one(name, 'none', 'set')),
  ];
}

/** Grants are made to principals of the target's account; others' service-linked roles get theirs from their own. */
function grantDifferences({ grantKeyTo, place, kmsKeyArn }: Target, { grants }: PublishedFacts): Difference[] {
  const own = grantKeyTo.filter((one) => one.split(':')[4] === place.account && !needsSourceImage(one));
  const lets = (principal: string) =>
    grants.some(
      (one) => one.principal === principal && takenByLaunch.every((needed) => one.operations.includes(needed)),
    );
  return own
    .filter((principal) => !lets(principal))
    .map((principal) => ({
      ...{ field: `the grant for ${principal} on ${kmsKeyArn}`, source: 'set', target: notSet, asked: true },
    }));
}

const dayMs = 86_400_000;

/** Days are counted from the AMI's creation, which is some hours later than the run that they were counted from. */
function deprecationDifferences({ publication: { deprecateAfter } }: Request, image: Image): Difference[] {
  const actual = image.DeprecationTime;
  if (deprecateAfter === undefined) return actual === undefined ? [] : asked('DeprecationTime', 'none', actual);
  const [at, tolerance] =
    'at' in deprecateAfter
      ? [deprecateAfter.at.getTime(), 60_000]
      : [new Date(image.CreationDate ?? 0).getTime() + deprecateAfter.days * dayMs, dayMs];
  const isNear = actual !== undefined && Math.abs(new Date(actual).getTime() - at) <= tolerance;
  return isNear ? [] : asked('DeprecationTime', `${new Date(at).toISOString().slice(0, 16)}Z`, actual);
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html (deregistrationProtection) */
function protectionDifferences({ publication }: Request, image: Image): Difference[] {
  const actual = image.DeregistrationProtection || 'disabled';
  const expected = protectionStates[publication.deregistrationProtection];
  // One that ends with a cooldown is off as far as anybody asked.
  if (expected === 'disabled' && !actual.startsWith('enabled')) return [];
  return asked('DeregistrationProtection', expected, actual);
}

/** Fast snapshot restore, both ways: AWS bills it by the hour. */
function restoreDifferences({ zones }: Target, image: Image, { fastZones }: PublishedFacts): Difference[] {
  return snapshotIdsOf(image).flatMap((id) => {
    const list = (names: readonly string[]) => names.toSorted().join(', ') || 'off';
    return asked(`fast snapshot restore of ${id}`, list(zones), list(fastZones.get(id) ?? []));
  });
}

function parameterDifferences(
  name: string | undefined,
  { ImageId = '' }: Image,
  published: PublishedFacts,
): Difference[] {
  return name === undefined ? [] : asked(`the SSM parameter ${name}`, ImageId, published.parameter);
}

/** A version that resolves the SSM parameter at each launch launches what that holds, which is compared by itself. */
function templateDifferences(auditing: Auditing, { ImageId = '' }: Image, { template }: PublishedFacts): Difference[] {
  const name = templateOf(auditing);
  if (name === undefined) return [];
  const field = `the launch template ${name}`;
  if (template === undefined) return asked(field, ImageId, undefined);
  const { source: latest, defaultVersion, defaultImage } = template;
  const parameter = parameterOf(auditing);
  const resolves = (actual: string | undefined) => parameter !== undefined && actual === `resolve:ssm:${parameter}`;
  const named = (which: string, actual: string | undefined) =>
    resolves(actual) ? [] : asked(`${which} of ${field}`, ImageId, actual);
  const makesDefault = auditing.request.publication.launchTemplate?.makesDefault === true;
  return [
    ...named(`the latest version, ${latest.number},`, latest.imageId),
    ...(makesDefault ? named(`the default version, ${defaultVersion},`, defaultImage) : []),
  ];
}
