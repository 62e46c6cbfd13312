import type { LaunchPermission } from '@aws-sdk/client-ec2';
import {
  DeleteParametersCommand,
  GetParametersByPathCommand,
  type Parameter,
  PutParameterCommand,
  type Tag,
} from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { hasCode } from '../aws/errors.ts';
import { type RecallWay, recallWays } from '../inputs/recall.ts';
import { newLeaseId } from '../lease.ts';
import { partsOf } from '../parts.ts';

/*
 * What a recall takes from an AMI for good is written where a restore finds it from any machine: in SSM parameters of the
 * AMI's own account and region. One holds 4 KB, and an AMI may have a thousand launch permissions, so a record takes
 * several. None is ever overwritten: a run that is killed, or another at the same time, loses nothing that was written.
 */

/** What an AMI was before it was recalled. */
export type RecallRecord = Readonly<{
  how: RecallWay;
  reason: string;
  /** When, and by which workflow run. */
  at: string;
  run: string;
  state: 'available' | 'disabled';
  /** Those that a restore gives back; where the AMI is only deprecated, what an earlier recall dropped. */
  launchPermissions: readonly LaunchPermission[];
  /** Only where a recall deprecates it: the time before, null for none, and when it did so. */
  deprecation: Readonly<{ before: string | null; at: string }> | undefined;
}>;

/** How far a recall has come since it wrote a record: the AMI was disabled by it, and then was being restored. */
export type Step = 'disabled' | 'restoring';

/** A record as it is found: with the steps that followed it. */
export type Kept = Readonly<{ id: string; record: RecallRecord; steps: ReadonlySet<Step> }>;

/** What is written of an AMI: the last whole record, and the numbers of all that was seen, or written since. */
export type Records = Readonly<{ place: Place; amiId: string; kept: Kept | undefined; numbers: Set<number> }> & {
  /** The highest number that is taken. */
  last: number;
};

/** Below this path a recall keeps its records. */
export const recordsPath = '/share-encrypted-ami/recalled/';

/** Of the 4,096 bytes of a standard parameter: https://docs.aws.amazon.com/general/latest/gr/ssm.html */
const partCharacters = 4000;

/** A record as ASCII, and without the `{{` that SSM would take for the reference to a parameter. */
function textOf(record: RecallRecord): string {
  return JSON.stringify(record)
    .replaceAll('{{', '{\\u007b')
    .replace(/[^\x20-\x7e]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Writes a record of an AMI beside those that are there, and gives its ID; undefined where something is there that was not
 * seen: SSM shows late what another recall wrote, or this one in a call whose answer was lost. Then what to write has to be
 * decided anew. @throws AwsCallError
 */
export async function writeRecord(
  records: Records,
  { record, Tags }: Readonly<{ record: RecallRecord; Tags: Tag[] }>,
): Promise<string | undefined> {
  const id = newLeaseId();
  const parts = partsOf([...textOf(record)], partCharacters).map((part) => part.join(''));
  const [first = '', ...others] = parts.map((part, index) => `${id} ${index + 1}/${parts.length} ${part}`);
  if (!(await writeNext(records, first, Tags))) return undefined;
  for (const value of others) await write(records, value, Tags);
  return id;
}

/** Writes beside a record that a step is done. @throws AwsCallError */
export function noteStep(
  records: Records,
  { id, step, Tags }: Readonly<{ id: string; step: Step; Tags: Tag[] }>,
): Promise<void> {
  return write(records, `${id} ${step}`, Tags);
}

async function write(records: Records, value: string, Tags: Tag[]): Promise<void> {
  while (!(await writeNext(records, value, Tags)));
}

/** Writes a parameter with the number that follows the last; false where that is taken. */
async function writeNext(records: Records, Value: string, Tags: Tag[]): Promise<boolean> {
  records.last += 1;
  const { place, amiId, last, numbers } = records;
  try {
    await place.ssm(new PutParameterCommand({ Name: nameOf(amiId, last), Value, Type: 'String', Tags }));
    numbers.add(last);
    return true;
  } catch (error) {
    if (!hasCode(error, 'ParameterAlreadyExists')) throw error;
    return false;
  }
}

function nameOf(amiId: string, number: number): string {
  return `${recordsPath}${amiId}/${number}`;
}

function numberOf({ Name = '' }: Parameter): number {
  return Number(/\/(\d+)$/.exec(Name)?.[1] ?? 0);
}

function readParts(place: Place, amiId: string): Promise<Parameter[]> {
  return pages(async (NextToken) => {
    const page = await place.ssm(new GetParametersByPathCommand({ Path: `${recordsPath}${amiId}`, NextToken }));
    return { items: page.Parameters ?? [], next: page.NextToken };
  });
}

/**
 * What is written of an AMI. A record that isn't whole is of a recall that was killed before it took anything.
 * @throws AwsCallError
 */
export async function readRecords(place: Place, amiId: string): Promise<Records> {
  const written = await readParts(place, amiId);
  const numbers = new Set(written.map(numberOf).filter((number) => number > 0));
  return { place, amiId, kept: lastOf(written), numbers, last: Math.max(0, ...numbers) };
}

function lastOf(written: readonly Parameter[]): Kept | undefined {
  const values = written
    .toSorted((one, other) => numberOf(other) - numberOf(one))
    .flatMap(({ Value = '' }) => {
      const [, id, value = ''] = /^([0-9a-f]+) (.*)$/s.exec(Value) ?? [];
      return id === undefined ? [] : [{ id, value }];
    });
  for (const [id, own] of Map.groupBy(values, (one) => one.id)) {
    const texts = own.map(({ value }) => value);
    const record = recordIn(wholeText(texts) ?? '');
    const isDone = (step: Step) => texts.includes(step);
    const steps = new Set((['disabled', 'restoring'] as const).filter(isDone));
    if (record !== undefined) return { id, record, steps };
  }
  return undefined;
}

/** The text of a record, of its parts in any order; undefined where one is missing. */
function wholeText(values: readonly string[]): string | undefined {
  const parts = values.flatMap((value) => {
    const [, n, count, text = ''] = /^(\d{1,3})\/(\d{1,3}) (.*)$/s.exec(value) ?? [];
    return n === undefined ? [] : [{ n: Number(n), count: Number(count), text }];
  });
  const byNumber = new Map(parts.map(({ n, text }) => [n, text]));
  const texts = Array.from({ length: parts[0]?.count ?? 0 }, (_, index) => byNumber.get(index + 1));
  return texts.includes(undefined) ? undefined : texts.join('');
}

/** What was written, as far as it is a record: anybody with the right to set parameters may have written it. */
function recordIn(text: string): RecallRecord | undefined {
  const value = parsed(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const { how, reason, at, run, state, launchPermissions, deprecation } = value as Partial<RecallRecord>;
  const isRecord =
    recallWays.some((way) => way === how) &&
    [reason, run].every((one) => typeof one === 'string') &&
    isTime(at) &&
    (state === 'available' || state === 'disabled') &&
    (deprecation === undefined || isDeprecation(deprecation)) &&
    Array.isArray(launchPermissions) &&
    launchPermissions.every(isPermission);
  return isRecord ? (value as RecallRecord) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isDeprecation(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { before, at } = value as Record<string, unknown>;
  return (before === null || isTime(before)) && isTime(at);
}

const isTime = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value));

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchPermission.html */
const permissionForms: Readonly<Record<string, RegExp>> = {
  UserId: /^\d{12}$/,
  Group: /^all$/,
  OrganizationArn: /^arn:[\w-]+:organizations::\d{12}:organization\/o-[a-z0-9]+$/,
  OrganizationalUnitArn: /^arn:[\w-]+:organizations::\d{12}:ou\/o-[a-z0-9]+\/ou-[a-z0-9-]+$/,
};

function isPermission(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const [[kind = '', name] = [], ...others] = Object.entries(value);
  return others.length === 0 && typeof name === 'string' && permissionForms[kind]?.test(name) === true;
}

/** Deletes what is written of an AMI; what is gone is no error. @throws AwsCallError */
export async function deleteRecords({ place, amiId, numbers }: Records): Promise<void> {
  // The oldest first: the last one says what counts until it goes.
  const names = [...numbers].toSorted((one, other) => one - other).map((number) => nameOf(amiId, number));
  for (const Names of partsOf(names, 10)) await place.ssm(new DeleteParametersCommand({ Names }));
}
