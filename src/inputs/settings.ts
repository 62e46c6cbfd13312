import {
  audienceOf,
  isRegionName,
  isUnknownPartition,
  type Partition,
  partitionOf,
  unknownPartition,
} from '../regions.ts';
import { fill, needsSourceImage } from '../template.ts';
import { inputDefaults, keyProblem, type Reader, type RunContext, roleArn, roleProblem, runValues } from './reader.ts';
import { readSessionTags } from './tags.ts';

export type KeyAccess = (typeof keyAccesses)[number];
const keyAccesses = ['grant', 'policy', 'existing'] as const;

type CredentialSource = (typeof credentialSources)[number];
const credentialSources = ['auto', 'oidc', 'environment'] as const;

/** The part of the request that says where the source is and how accounts are reached: all that taking back takes. */
export type Settings = Readonly<{
  source: Readonly<{
    region: string;
    partition: Partition;
    roleArn: string | undefined;
    kmsKey: string | undefined;
    keyAccess: KeyAccess;
  }>;
  credentials: Readonly<{
    from: CredentialSource;
    roleChaining: boolean;
    externalId: string | undefined;
    /** In their values, `{account}` and `{region}` are still to fill. */
    sessionTags: Readonly<Record<string, string>>;
    sessionName: string;
    durationSeconds: number;
    audience: string;
  }>;
  keepIntermediates: boolean;
  maskAccountIds: boolean;
  run: RunContext;
}>;

/** Reads the settings; what is wrong with them is noted in `reader`. */
export function readSettings(reader: Reader, run: RunContext): Settings {
  const region = reader.optional('source-region') ?? run.defaultRegion ?? '';
  if (region === '') reader.note('source-region', '', 'is needed where AWS_REGION is not set');
  else if (isUnknownPartition(region)) reader.note('source-region', region, unknownPartition);
  else if (!isRegionName(region))
    reader.note('source-region', region, 'expected the name of a region, such as us-east-1');
  const partition = partitionOf(region);
  const sourceRole = reader.optional('source-role-arn');
  if (sourceRole !== undefined) {
    const problem = roleProblem(sourceRole, partition);
    if (problem !== undefined) reader.note('source-role-arn', sourceRole, problem);
  }
  const from = reader.oneOf('credentials', credentialSources);
  if (from === 'oidc' && sourceRole === undefined)
    reader.note('source-role-arn', '', 'is needed with credentials: oidc, which takes none from the environment');
  const sourceKey = reader.optional('source-kms-key');
  if (sourceKey !== undefined) {
    const problem = keyProblem(sourceKey, region, roleArn.exec(sourceRole ?? '')?.[2]);
    if (problem !== undefined) reader.note('source-kms-key', sourceKey, problem);
  }
  return {
    source: {
      region,
      partition,
      roleArn: sourceRole,
      kmsKey: sourceKey,
      keyAccess: reader.oneOf('source-key-access', keyAccesses),
    },
    credentials: {
      from,
      roleChaining: reader.flag('role-chaining'),
      // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
      externalId: reader.checked('external-id', reader.optional('external-id'), {
        fits: (text) => /^[\w+=,.@:/-]{2,1224}$/.test(text),
        expected: 'expected 2 to 1224 letters, digits and +=,.@:/-',
      }),
      sessionTags: fillSessionTags(reader, run),
      sessionName: readSessionName(reader, run),
      durationSeconds: reader.whole('role-duration-seconds', 900, 43_200),
      audience: readAudience(reader, partition),
    },
    keepIntermediates: reader.flag('keep-intermediates'),
    maskAccountIds: reader.flag('mask-aws-account-id'),
    run,
  };
}

/** The session name, in which `{account}` and `{region}` are still to fill. Roles are assumed before the AMI is known. */
function readSessionName(reader: Reader, run: RunContext): string {
  const template = fill(reader.template('role-session-name'), runValues(run));
  if (needsSourceImage(template)) {
    reader.note('role-session-name', template, '{name} and {source-ami} are not known yet when a role is assumed');
    return template;
  }
  const longest = fill(template, { account: '0'.repeat(12), region: 'ap-southeast-1', name: '', 'source-ami': '' });
  // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
  return reader.checked('role-session-name', template, {
    fits: () => /^[\w+=,.@-]{2,64}$/.test(longest),
    expected: 'expected 2 to 64 letters, digits and +=,.@-',
  });
}

/** The session tags, in whose values `{account}` and `{region}` are still to fill. */
function fillSessionTags(reader: Reader, run: RunContext): Record<string, string> {
  const tags = readSessionTags(reader, 'role-session-tags', reader.text('role-session-tags'));
  return Object.fromEntries(
    Object.entries(tags).map(([key, template]) => {
      const value = fill(template, runValues(run));
      if (needsSourceImage(value))
        reader.note('role-session-tags', template, '{name} and {source-ami} are not known yet when a role is assumed');
      const longest = fill(value, { account: '0'.repeat(12), region: 'ap-southeast-1', name: '', 'source-ami': '' });
      return [
        key,
        reader.checked('role-session-tags', value, {
          fits: () => /^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u.test(longest),
          expected: 'expected at most 256 letters, digits, spaces and _.:/=+-@',
        }),
      ];
    }),
  );
}

/** AWS's own audience is another one in the China partition; any that the user made up is taken as it is. */
function readAudience(reader: Reader, partition: Partition): string {
  const audience = reader.text('oidc-audience');
  return audience === inputDefaults['oidc-audience'] ? audienceOf(partition) : audience;
}
