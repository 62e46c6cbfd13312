import type { Filter, Tag } from '@aws-sdk/client-ec2';
import { wildcard } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import type { Ec2Call } from './call.ts';

/** What a describe filters by: what each filter looks at in a resource, and whether AWS has no more than these. */
export type Filterable<T> = Readonly<{
  fields: Readonly<Record<string, (resource: T) => readonly (string | undefined)[]>>;
  complete: boolean;
  /** Where tags can be filtered by. */
  tags?: (resource: T) => readonly Tag[] | undefined;
}>;

const mostValues = 200;

/** Whether a resource passes all filters, which were checked. */
export function matches<T>(resource: T, filters: readonly Filter[] | undefined, by: Filterable<T>): boolean {
  return (filters ?? []).every(({ Name = '', Values = [] }) => {
    const actual = fieldOf(resource, Name, by);
    return Values.some((pattern) => actual.some((value) => value !== undefined && wildcard(pattern).test(value)));
  });
}

function fieldOf<T>(resource: T, name: string, { fields, tags }: Filterable<T>): readonly (string | undefined)[] {
  const field = fields[name];
  if (field !== undefined) return field(resource);
  const all = tags?.(resource) ?? [];
  if (name === 'tag-key') return all.map(({ Key }) => Key);
  return all.filter(({ Key }) => `tag:${Key}` === name).map(({ Value }) => Value ?? '');
}

/** @throws Refusal for a filter that AWS doesn't have, and of another kind for one that only the simulator hasn't */
export function checkFilters<T>(filters: readonly Filter[] | undefined, by: Filterable<T>): void {
  const values = (filters ?? []).flatMap(({ Values }) => Values ?? []);
  if (values.length > mostValues)
    throw new Refusal(
      'FilterLimitExceeded',
      `The maximum number of filter values specified on a single call is ${mostValues}`,
    );
  for (const { Name = '' } of filters ?? []) {
    const isOfTags = by.tags !== undefined && (Name.startsWith('tag:') || Name === 'tag-key');
    if (isOfTags || by.fields[Name] !== undefined) continue;
    throw by.complete
      ? new Refusal('InvalidParameterValue', `The filter '${Name}' is invalid`)
      : new Refusal('NotSimulated', `The simulator doesn't know the filter '${Name}'.`);
  }
}

type Paging = Readonly<{ MaxResults?: number | undefined; NextToken?: string | undefined }>;

/** A page of what a list has, with the token for the next; lists by IDs come whole. */
export function pageOf<T>(
  { rules }: Ec2Call,
  all: readonly T[],
  { MaxResults, NextToken }: Paging,
): Readonly<{ items: T[]; more: Readonly<{ NextToken?: string }> }> {
  if (MaxResults !== undefined && MaxResults < 5)
    throw new Refusal(
      'InvalidParameterValue',
      `Invalid value '${MaxResults}' for maxResults. Expecting a value greater than 5.`,
    );
  const start = NextToken === undefined ? 0 : Number(Buffer.from(NextToken, 'base64').toString());
  if (NextToken !== undefined && NextToken !== tokenOf(start))
    throw new Refusal('InvalidParameterValue', 'The specified NextToken is invalid.');
  const end = start + Math.min(MaxResults ?? rules.pageSize, 1000);
  const more = end < all.length ? { NextToken: tokenOf(end) } : {};
  return { items: all.slice(start, end), more };
}

function tokenOf(start: number): string {
  return Buffer.from(String(start)).toString('base64');
}
