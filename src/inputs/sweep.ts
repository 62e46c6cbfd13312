import type { InputSources } from '../inputs.ts';
import { needsSourceImage } from '../template.ts';
import { noteOthers } from './actions.ts';
import { readHubKey } from './hub-key.ts';
import { type Reach, readReach } from './reach.ts';
import { InputError, Reader, type RunContext } from './reader.ts';

/** What a sweep is told: how runs reached source and targets, and what they may have left there. */
export type SweepRequest = Reach &
  Readonly<{
    hubKmsKey: string | undefined;
  }>;

/** The request of a sweep. It is of no AMI in particular. @throws InputError that lists every problem */
export function readSweep(
  get: (name: string) => string,
  run: RunContext,
  { enabled, yaml }: InputSources,
): SweepRequest {
  const reader = new Reader(get, yaml);
  const reach = readReach(reader, run, { enabled, needsKey: false });
  const request = { ...reach, hubKmsKey: readHubKey(reader, reach.source.region, run) };
  for (const { roleArn = '' } of reach.targets)
    if (needsSourceImage(roleArn))
      reader.note('target-role-arn', roleArn, '{name} and {source-ami} are not known in a sweep');
  noteOthers(reader, 'sweep');
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
}
