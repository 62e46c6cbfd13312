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
import type { RecallWay } from '../inputs/recall.ts';
import { joined } from '../join.ts';

/*
 * What a recall takes from an AMI for good is written where a restore finds it from any machine: in SSM parameters of the
 * AMI's own account and region. One holds 4 KB, and an AMI may have a thousand launch permissions, so a record takes several.
 */

/** What an AMI was before it was recalled. */
export type RecallRecord = Readonly<{
  how: RecallWay;
  reason: string;
  /** When, and by which workflow run. */
  at: string;
  run: string;
  launchPermissions: readonly LaunchPermission[];
  deprecationTime: string | undefined;
}>;

const pathOf = (amiId: string): string => `/share-encrypted-ami/recalled/${amiId}`;

/** Of the 4,096 bytes of a standard parameter: https://docs.aws.amazon.com/general/latest/gr/ssm.html */
const partCharacters = 4000;

/** A record as ASCII, and without the `{{` that SSM would take for the reference to a parameter. */
function textOf(record: RecallRecord): string {
  return JSON.stringify(record)
    .replaceAll('{{', '{\\u007b')
    .replace(/[^\x20-\x7e]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Writes the record of an AMI, over a former one. @throws AwsCallError */
export async function writeRecord(
  place: Place,
  amiId: string,
  { record, tags }: Readonly<{ record: RecallRecord; tags: Tag[] }>,
): Promise<void> {
  const text = textOf(record);
  const count = Math.ceil(text.length / partCharacters);
  for (let n = 1; n <= count; n += 1) {
    const part = text.slice((n - 1) * partCharacters, n * partCharacters);
    const request = { Name: `${pathOf(amiId)}/${n}`, Value: `${n}/${count} ${part}`, Type: 'String' as const };
    try {
      // Tags are taken only with a parameter that is new, and only without Overwrite:
      // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
      await place.ssm(new PutParameterCommand({ ...request, Tags: tags }));
    } catch (error) {
      if (!hasCode(error, 'ParameterAlreadyExists')) throw error;
      await place.ssm(new PutParameterCommand({ ...request, Overwrite: true }));
    }
  }
}

function readParts(place: Place, amiId: string): Promise<Parameter[]> {
  return pages(async (NextToken) => {
    const page = await place.ssm(new GetParametersByPathCommand({ Path: pathOf(amiId), NextToken }));
    return { items: page.Parameters ?? [], next: page.NextToken };
  });
}

/** The record of an AMI; undefined where there is none, or not all of it. @throws AwsCallError */
export async function readRecord(place: Place, amiId: string): Promise<RecallRecord | undefined> {
  const parts = (await readParts(place, amiId)).flatMap(({ Value = '' }) => {
    const [, n, count, text = ''] = /^(\d+)\/(\d+) (.*)$/s.exec(Value) ?? [];
    return n === undefined ? [] : [{ n: Number(n), count: Number(count), text }];
  });
  const count = parts.find(({ n }) => n === 1)?.count ?? 0;
  // A longer record that was there before may have left parts, which count otherwise.
  const own = parts.filter((part) => part.count === count).toSorted((a, b) => a.n - b.n);
  if (count === 0 || own.length !== count) return undefined;
  try {
    return recordIn(JSON.parse(own.map(({ text }) => text).join('')));
  } catch {
    return undefined;
  }
}

/** What was written, as far as it has the form of a record: anybody with the right to set parameters may have written it. */
function recordIn(value: unknown): RecallRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { how, reason, at, run, launchPermissions, deprecationTime } = value as Partial<RecallRecord>;
  const isPermission = (one: unknown) => typeof one === 'object' && one !== null;
  if (!Array.isArray(launchPermissions) || !launchPermissions.every(isPermission)) return undefined;
  return {
    how: how === 'deprecate' ? how : 'disable',
    ...{ reason: String(reason), at: String(at), run: String(run), launchPermissions },
    deprecationTime: typeof deprecationTime === 'string' ? deprecationTime : undefined,
  };
}

/** Deletes the record of an AMI; what is gone is no error. @throws AwsCallError */
export async function deleteRecord(place: Place, amiId: string): Promise<void> {
  const names = (await readParts(place, amiId)).flatMap(({ Name }) => Name ?? []);
  const tens = Array.from({ length: Math.ceil(names.length / 10) }, (_, at) => names.slice(10 * at, 10 * at + 10));
  await joined(tens.map((Names) => place.ssm(new DeleteParametersCommand({ Names }))));
}
