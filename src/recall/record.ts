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
  launchPermissions: readonly LaunchPermission[];
  /** Only where a recall deprecates it: the time before, null for none, and when it did so. */
  deprecation: Readonly<{ before: string | null; at: string }> | undefined;
}>;

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

/** Writes a record of an AMI beside those that are there. @throws AwsCallError */
export async function writeRecord(
  place: Place,
  amiId: string,
  { record, Tags }: Readonly<{ record: RecallRecord; Tags: Tag[] }>,
): Promise<void> {
  const text = textOf(record);
  const id = newLeaseId();
  const count = Math.ceil(text.length / partCharacters);
  let at = Math.max(0, ...(await readParts(place, amiId)).map(numberOf));
  for (let n = 1; n <= count; n += 1) {
    const Value = `${id} ${n}/${count} ${text.slice((n - 1) * partCharacters, n * partCharacters)}`;
    for (let isWritten = false; !isWritten; ) {
      at += 1;
      try {
        await place.ssm(new PutParameterCommand({ Name: `${recordsPath}${amiId}/${at}`, Value, Type: 'String', Tags }));
        isWritten = true;
      } catch (error) {
        // Another recall writes, too; or the answer to this very call was lost, and then the part is there twice.
        if (!hasCode(error, 'ParameterAlreadyExists')) throw error;
      }
    }
  }
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

/** The last whole record of an AMI; undefined where there is none. @throws AwsCallError */
export async function readRecord(place: Place, amiId: string): Promise<RecallRecord | undefined> {
  const written = (await readParts(place, amiId)).toSorted((one, other) => numberOf(other) - numberOf(one));
  const parts = written.flatMap(({ Value = '' }) => {
    const [, id = '', n, count, text = ''] = /^([0-9a-f]+) (\d{1,3})\/(\d{1,3}) (.*)$/s.exec(Value) ?? [];
    return n === undefined ? [] : [{ id, n: Number(n), count: Number(count), text }];
  });
  for (const own of Map.groupBy(parts, ({ id }) => id).values()) {
    const byNumber = new Map(own.map(({ n, text }) => [n, text]));
    const texts = Array.from({ length: own[0]?.count ?? 0 }, (_, index) => byNumber.get(index + 1));
    const record = texts.includes(undefined) ? undefined : recordIn(texts.join(''));
    if (record !== undefined) return record;
  }
  return undefined;
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

/** Deletes the records of an AMI; what is gone is no error. @throws AwsCallError */
export async function deleteRecords(place: Place, amiId: string): Promise<void> {
  // The oldest first: the last one says what counts until it goes.
  const parts = (await readParts(place, amiId)).toSorted((one, other) => numberOf(one) - numberOf(other));
  const names = parts.flatMap(({ Name }) => Name ?? []);
  for (let start = 0; start < names.length; start += 10)
    await place.ssm(new DeleteParametersCommand({ Names: names.slice(start, start + 10) }));
}
