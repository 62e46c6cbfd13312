import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { ownImages, ownSnapshots } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import { runValues } from '../inputs/reader.ts';
import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import type { Hub, Intermediates, Observed, Source } from '../plan/facts.ts';
import { tagKeys } from '../tags.ts';
import { fill } from '../template.ts';
import { resolveKey } from './key.ts';
import type { Observing } from './source.ts';

/* What is made in the source account on the way: encrypted copies, and the hubs that they are made in. */

/** The hubs, and what encrypted copies there are in them and in the source's region. */
export type Supplies = Pick<Observed, 'hubs' | 'intermediates'>;

export async function observeSupplies(observing: Observing, source: Source): Promise<Supplies> {
  const hubs = await observeHubs(observing, source);
  const regions = new Set([source.place.region, ...hubs.keys()]);
  const intermediates = await joined([...regions].map((region) => readIntermediates(observing, source, region)));
  return { hubs, intermediates: new Map(intermediates) };
}

/** Encrypted copies that are kept, or that another run makes, are used again. */
export async function readIntermediates(
  { accounts, findings }: Pick<Observing, 'accounts' | 'findings'>,
  { imageId, instanceId }: Source,
  region: string,
): Promise<[string, Intermediates]> {
  const place = accounts.source(region);
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const mark = { Name: 'tag-key', Values: [tagKeys.intermediate] };
  const none: Intermediates = { images: [], snapshots: [] };
  if (instanceId !== undefined) return [region, none];
  const found = await findings.attempt(placeName(place), 'looking for encrypted copies', async () => {
    const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
      ownImages(place, ofSource, mark),
      ownSnapshots(place, ofSource, mark),
    ]);
    return { images, snapshots };
  });
  return [region, found ?? none];
}

/**
 * The hubs of topology `regional-hub`: one in each region that has several targets of other accounts. Where there is one
 * target alone, or the source itself, a hub would save no transfer.
 */
async function observeHubs({ request, accounts, findings }: Observing, source: Source): Promise<Map<string, Hub>> {
  if (request.topology !== 'regional-hub') return new Map();
  const abroad = request.targets.filter(
    ({ account, region }) => account !== source.account && region !== source.place.region,
  );
  const regions = [...Map.groupBy(abroad, ({ region }) => region)].filter(([, targets]) => targets.length > 1);
  const hubs = await Promise.all(
    regions.map(async ([region]): Promise<[string, Hub][]> => {
      const place = accounts.source(region);
      const key = hubKey(request, source.account, region);
      if (key === undefined) {
        findings.add(
          placeName(place),
          'topology regional-hub needs a key of the source account in this region',
          'deploy templates/source-hub.yaml there; or give hub-kms-key, such as alias/golden-{region}; or make source-kms-key an alias that each region has, or a multi-Region key',
        );
        return [];
      }
      const kmsKeyArn = await resolveKey(place, { key, input: 'hub-kms-key' }, findings);
      return kmsKeyArn === undefined ? [] : [[region, { place: { account: source.account, region }, kmsKeyArn }]];
    }),
  );
  return new Map(hubs.flat());
}

/** The key in a hub's region: as it is given, or what source-kms-key is called there. */
export function hubKey(
  { hubKmsKey, source, run }: Pick<Request, 'hubKmsKey' | 'source' | 'run'>,
  account: string,
  region: string,
): string | undefined {
  if (hubKmsKey !== undefined) return fill(hubKmsKey, { region, account, ...runValues(run) });
  const key = source.kmsKey ?? '';
  // A multi-Region key has its ID everywhere, and an ARN in each region: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
  if (/^mrk-|^alias\//.test(key)) return key;
  const arn = /^(arn:[^:]+:kms:)[^:]+(:\d+:(?:alias\/.+|key\/mrk-.+))$/.exec(key);
  return arn === null ? undefined : `${arn[1]}${region}${arn[2]}`;
}
