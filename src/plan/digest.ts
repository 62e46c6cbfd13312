import {
  type Digest,
  type DigestPart,
  digestParts,
  digestProblem,
  digestText,
  parseDigest,
  pieceDigits,
} from '../digest.ts';
import { isRecord, isText, isTexts } from '../plain-data.ts';
import { sha256 } from '../sha256.ts';
import { listed } from '../words.ts';

/*
 * The digest of a plan: what a person approves of it, and not how it is done. So there are no encrypted copies in it, no
 * copies that are taken over, no clean-up, times or costs; and names and tags are compared as templates, since `{run-id}`
 * is another one when the approved plan is run.
 */

/** What is approved: plain data, which stand in the plan's file as `approved`. */
export type Approved = Readonly<{
  source: Readonly<{
    /** Null where the AMI is yet to be made of the instance. */
    amiId: string | null;
    instanceId: string | null;
    snapshots: readonly string[];
  }>;
  targets: readonly ApprovedTarget[];
  /** The targets that the run does without, since they have problems. */
  leftOut: readonly string[];
}>;

export type ApprovedTarget = Readonly<{
  account: string;
  region: string;
  optional: boolean;
  roleArn: string | null;
  kmsKeyArn: string;
  route: 'register' | 'copy';
  nameTemplate: string;
  descriptionTemplate: string | null;
  /** Keys with their templates, as pairs: a key may be `__proto__`. */
  tagTemplates: readonly (readonly [key: string, template: string])[];
  /** What is asked for beside the AMI, as it was asked for: plain data, in which the order of lists means nothing. */
  publication: unknown;
  /** The AMI that is used again. */
  reuses: string | null;
  /** AMIs that go. */
  deregisters: readonly string[];
  /** Who gets access to what, a line each. */
  access: readonly string[];
}>;

/** The facts of each part, in an order of their own: the same facts are the same text. */
function factsOf({ source, targets, leftOut }: Approved): Record<DigestPart, unknown> {
  const sorted = targets.toSorted((a, b) => compare(placeOf(a), placeOf(b)));
  const ofEach = (facts: (target: ApprovedTarget) => readonly unknown[]) =>
    sorted.map((target) => [target.account, target.region, ...facts(target)]);
  return {
    source: [source.amiId, source.instanceId, source.snapshots.toSorted(compare)],
    targets: [ofEach(({ roleArn, route, optional }) => [roleArn, route, optional]), leftOut.toSorted(compare)],
    keys: ofEach(({ kmsKeyArn }) => [kmsKeyArn]),
    names: ofEach(({ nameTemplate, descriptionTemplate }) => [nameTemplate, descriptionTemplate]),
    tags: ofEach(({ tagTemplates }) => [tagTemplates.toSorted(([a], [b]) => compare(a, b))]),
    publish: ofEach(({ publication }) => [unordered(publication)]),
    existing: ofEach(({ reuses, deregisters }) => [reuses, deregisters.toSorted(compare)]),
    access: ofEach(({ access }) => [access.toSorted(compare)]),
  };
}

const placeOf = ({ account, region }: ApprovedTarget) => `${account}/${region}`;

/** By code units: the same on every machine, which a locale's order isn't. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The same data, with lists in an order of their own. */
function unordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unordered).toSorted((a, b) => compare(canonical(a), canonical(b)));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unordered(one)]));
}

/** The one JSON of plain data: keys in order, and what JSON leaves out left out. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((one) => canonical(one ?? null)).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .toSorted(([a], [b]) => compare(a, b));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join()}}`;
}

/** The digest of a plan, as text: the output plan-digest. */
export function digestOf(approved: Approved): string {
  const facts = factsOf(approved);
  const pieces = Object.fromEntries(
    digestParts.map((part) => [part, sha256(canonical(facts[part])).slice(0, pieceDigits)]),
  ) as Digest['pieces'];
  return digestText({ pieces, whole: sha256(canonical(facts)) });
}

const words: Readonly<Record<DigestPart, string>> = {
  source: 'the source AMI or its snapshots',
  targets: 'the targets: their accounts, regions, roles or routes, which are optional, or which are left out',
  keys: 'the target keys',
  names: 'the names or descriptions of the AMIs',
  tags: 'the tags',
  publish:
    'what is published: deprecation, protection, fast snapshot restore, permissions, SSM parameters, launch templates',
  existing: 'which AMIs are used again, or deregistered',
  access: 'who gets access to what',
};

/** The parts in which a plan differs from the approved one, in words, by their digests; none where it is the same. */
export function differences(expected: string, actual: string): string[] {
  const [then, now] = [parseDigest(expected), parseDigest(actual)];
  if (then === undefined || now === undefined) return [digestProblem(expected) ?? digestProblem(actual) ?? ''];
  if (then.whole === now.whole) return [];
  const parts = digestParts.filter((part) => then.pieces[part] !== now.pieces[part]);
  return parts.length === 0 ? ['a part that the digests do not tell'] : parts.map((part) => words[part]);
}

/** So many differences are listed. */
const maxListed = 20;
/** So many targets are named of a difference that several have. */
const namedPlaces = 3;

/** One thing that differs; `where` is a target, or what else it is of. */
type Difference = Readonly<{ where: string; what: string }>;

/** What differs between the approved plan and the present one, item by item; the same in several targets once. */
export function listDifferences(approvedThen: Approved, now: Approved): string[] {
  const groups = Map.groupBy(
    [...sourceDifferences(approvedThen.source, now.source), ...targetDifferences(approvedThen, now)],
    ({ what }) => what,
  );
  const lines = [...groups].map(([what, group]) => {
    const places = listed(
      group.map(({ where }) => where),
      namedPlaces,
    );
    return `${places}: ${what}`;
  });
  const more = lines.length - maxListed;
  return more > 0 ? [...lines.slice(0, maxListed), `…and ${more} differences more`] : lines;
}

function sourceDifferences(then: Approved['source'], now: Approved['source']): Difference[] {
  return [
    ...changed('AMI', then.amiId, now.amiId),
    ...changed('instance', then.instanceId, now.instanceId),
    ...changedList('snapshot', then.snapshots, now.snapshots),
  ].map((what) => ({ where: 'source', what }));
}

function targetDifferences(then: Approved, now: Approved): Difference[] {
  const [before, after] = [then, now].map(({ targets }) => new Map(targets.map((one) => [placeOf(one), one])));
  const names = [...(before?.keys() ?? []), ...(after?.keys() ?? []), ...then.leftOut, ...now.leftOut];
  return [...new Set(names)].toSorted(compare).flatMap((where) => {
    const [old, present] = [before?.get(where), after?.get(where)];
    const [wasOut, isOut] = [then.leftOut.includes(where), now.leftOut.includes(where)];
    if (isOut) return wasOut ? [] : [{ where, what: 'an approved target that is left out, because it has a problem' }];
    if (wasOut) return [{ where, what: 'a target that was left out of the approved plan' }];
    if (old === undefined) return [{ where, what: 'a target that was not approved' }];
    if (present === undefined) return [{ where, what: 'an approved target that is missing' }];
    return changesOf(old, present).map((what) => ({ where, what }));
  });
}

function changesOf(then: ApprovedTarget, now: ApprovedTarget): string[] {
  return [
    ...changed('optional', then.optional, now.optional),
    ...changed('role', then.roleArn, now.roleArn),
    ...changed('route', then.route, now.route),
    ...changed('key', then.kmsKeyArn, now.kmsKeyArn),
    ...changed('name', then.nameTemplate, now.nameTemplate),
    ...changed('description', then.descriptionTemplate, now.descriptionTemplate),
    ...changedFields('tag', new Map(then.tagTemplates), new Map(now.tagTemplates)),
    ...changedFields('publication', fieldsOf(then.publication), fieldsOf(now.publication)),
    ...changed('used again', then.reuses, now.reuses),
    ...changedList('deregistered', then.deregisters, now.deregisters),
    ...changedList('access', then.access, now.access),
  ];
}

function changed(name: string, then: unknown, now: unknown): string[] {
  return canonical(then) === canonical(now) ? [] : [`${name} ${shown(now)} instead of ${shown(then)}`];
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  return typeof value === 'string' && value !== '' ? value : canonical(value);
}

function changedFields(name: string, then: ReadonlyMap<string, unknown>, now: ReadonlyMap<string, unknown>): string[] {
  const keys = [...new Set([...then.keys(), ...now.keys()])].toSorted(compare);
  return keys.flatMap((key) => changed(`${name} ${key}:`, then.get(key), now.get(key)));
}

function fieldsOf(publication: unknown): Map<string, unknown> {
  const plain = unordered(publication);
  return new Map(isRecord(plain) ? Object.entries(plain) : [['all', plain]]);
}

function changedList(name: string, then: readonly string[], now: readonly string[]): string[] {
  return [
    ...now.filter((one) => !then.includes(one)).map((one) => `${name} ${one}, which was not approved`),
    ...then.filter((one) => !now.includes(one)).map((one) => `${name} ${one} is missing, which was approved`),
  ];
}

/**
 * In what the present plan differs from the one that was approved: the parts, then, where the approved plan's file was
 * given, each thing. None where it is the approved one.
 * @param expected the approved digest, and what the approved plan's file says of `approved`, if there is one
 */
export function planDifferences(
  expected: Readonly<{ digest: string; approved: unknown }>,
  now: Approved,
): readonly string[] {
  const parts = differences(expected.digest, digestOf(now));
  if (parts.length === 0 || expected.approved === undefined) return parts;
  if (!isApproved(expected.approved) || digestOf(expected.approved) !== expected.digest)
    return [...parts, 'the file of expect-plan-file is not of the plan that has the digest of expect-plan-digest'];
  return [...parts, ...listDifferences(expected.approved, now)];
}

/** Whether data of a file are what is approved of a plan, as this version of the action writes it. */
export function isApproved(value: unknown): value is Approved {
  if (!isRecord(value) || !isRecord(value.source) || !Array.isArray(value.targets)) return false;
  const { amiId, instanceId, snapshots } = value.source;
  const isSource = isOptional(amiId) && isOptional(instanceId) && isTexts(snapshots);
  return isSource && value.targets.every(isTarget) && isTexts(value.leftOut);
}

function isTarget(value: unknown): value is ApprovedTarget {
  if (!isRecord(value)) return false;
  const { account, region, kmsKeyArn, route, nameTemplate, tagTemplates } = value;
  return (
    [account, region, kmsKeyArn, nameTemplate].every(isText) &&
    typeof value.optional === 'boolean' &&
    (route === 'register' || route === 'copy') &&
    [value.roleArn, value.descriptionTemplate, value.reuses].every(isOptional) &&
    [value.deregisters, value.access].every(isTexts) &&
    Array.isArray(tagTemplates) &&
    tagTemplates.every((pair) => isTexts(pair) && pair.length === 2)
  );
}

const isOptional = (value: unknown): value is string | null => value === null || isText(value);
