import { regionOfKey } from '../aws/kms.ts';
import { listed } from '../words.ts';
import { tagsOfTargets } from './creation-tags.ts';
import { accountsUsing, type Decided, type EncryptedCopy, type MakingPlan } from './decided.ts';
import { takenOverSince } from './earlier.ts';
import type { SourceSnapshot } from './facts.ts';
import { type Operation, type Ref, told } from './operation.ts';
import { referencesMark } from './references.ts';
import { deregistering } from './removal.ts';

/** What a target copies from: the resource, what it is called, and the operations that it comes after. */
export type Supplied = Readonly<{ resource: Ref; name: string; after: readonly string[] }>;

/** What is done in the source account, once for all targets; none of it belongs to an island. */
export type Supply = Readonly<{
  operations: readonly Operation[];
  create(instanceId: string): void;
  lease(): void;
  encrypt(copy: EncryptedCopy): void;
  allow(targets: readonly MakingPlan[]): void;
  share(targets: readonly MakingPlan[]): void;
  /** What everything that is made comes after. */
  begin(): readonly string[];
  /** What stands for a snapshot of the source, or for the AMI, once a target can copy it. */
  supplied(target: MakingPlan, snapshotId: string | undefined): Supplied;
}>;

/** The operations of the source account, which come up one after the other. */
export function openSupply(decided: Decided): Supply {
  const { request, source, encryptedCopies, targets } = decided;
  const { account, place } = source;
  const sourceName = nameOfSource(decided);
  const operations: Operation[] = [];
  const access = new Map<string, string>();
  const allowed = new Map<MakingPlan['target'], string[]>();
  const shared = new Map<string, string>();
  let begin: readonly string[] = [];
  const add = (operation: Operation): string => {
    operations.push(operation);
    return operation.id;
  };

  /** What is copied for the targets that copy from `from`. */
  const supply = (from: EncryptedCopy | undefined, snapshotId: string | undefined): Supplied => {
    const own = snapshotId ?? sourceName;
    const asItIs = from === undefined || (from.only !== undefined && !from.only.some(({ id }) => id === snapshotId));
    if (asItIs) return { resource: { id: snapshotId ?? source.imageId }, name: own, after: begin };
    const madeBy = snapshotId === undefined ? imageCopyId(from) : snapshotCopyId(from, snapshotId);
    const known = snapshotId === undefined ? from.there : from.snapshotsThere.get(snapshotId);
    return { resource: { madeBy }, name: known ?? `the encrypted copy of ${own}`, after: [madeBy] };
  };

  const encryptSnapshot = (copy: EncryptedCopy, snapshot: SourceSnapshot): void => {
    const { kmsKeyArn: key, name, tags } = copy;
    const there = copy.snapshotsThere.get(snapshot.id);
    const base = { id: snapshotCopyId(copy, snapshot.id), place: copy.place, key, after: begin };
    add(
      there === undefined
        ? { ...told({ ...base, of: [snapshot.id], why: encrypting }), kind: 'encrypt', key, tags, snapshot }
        : {
            ...told({
              ...base,
              of: [there],
              why: `the encrypted copy of ${snapshot.id} that another run made is used`,
            }),
            ...{ kind: 'await', key, copy: { id: there }, snapshotId: snapshot.id, remake: { name, tags, snapshot } },
          },
    );
  };

  const encryptImage = (copy: EncryptedCopy): void => {
    const { kmsKeyArn: key, name, tags, there } = copy;
    const base = { place: copy.place, key };
    const begun = `encrypt ${sourceName} in ${copy.place.region}`;
    if (there === undefined) {
      const what = told({ ...base, id: begun, of: [sourceName], after: begin, why: encrypting });
      add({ ...what, kind: 'encrypt', key, name, tags, snapshot: undefined });
    }
    const made: Ref = there === undefined ? { madeBy: begun } : { id: there };
    const after = there === undefined ? [begun] : begin;
    const waiting = { kind: 'await', key, copy: made, remake: { name, tags, snapshot: undefined } } as const;
    for (const { id } of source.snapshots) {
      const why = 'each snapshot is copied on as soon as its own encrypted copy is completed';
      const of = [copy.snapshotsThere.get(id) ?? `the encrypted copy of ${id}`];
      add({ ...told({ ...base, id: snapshotCopyId(copy, id), of, after, why }), ...waiting, snapshotId: id });
    }
    const why = there === undefined ? 'the encrypted copy is waited for' : 'the encrypted copy that is there is used';
    const of = [there ?? name];
    add({ ...told({ ...base, id: imageCopyId(copy), of, after, why }), ...waiting, snapshotId: undefined });
  };

  const giveUse = (key: string, { target }: MakingPlan): string | undefined => {
    const { keyAccess } = request.source;
    const { principalArn } = target;
    if (keyAccess === 'existing') return undefined;
    const id = keyAccess === 'grant' ? `allow ${principalArn} ${key}` : `allow accounts ${key}`;
    if (operations.some((one) => one.id === id)) return id;
    const accounts = accountsUsing(targets, key);
    const of = keyAccess === 'grant' ? [principalArn] : accounts;
    const why = 'copying takes the use of the key; taken back at the end';
    const base = {
      ...told({ id, place: { account, region: regionOfKey(key) }, of, key, after: begin, why }),
      key,
    } as const;
    return add({
      ...base,
      kind: 'allow',
      ...(keyAccess === 'grant' ? { by: 'grant', principalArn } : { by: 'policy', accounts }),
    });
  };

  const allowOne = (key: string, taker: MakingPlan): void => {
    const { target } = taker;
    const { principalArn, place: there } = target;
    const allowedBy = giveUse(key, taker);
    const after = allowedBy === undefined ? [] : [allowedBy];
    allowed.set(target, [...(allowed.get(target) ?? []), ...after]);
    const pair = `${key} ${principalArn}`;
    if (access.has(pair)) return;
    const why = 'a grant or a policy comes into force some time later';
    const what = told({ id: `access ${principalArn} ${key}`, place: there, of: [principalArn], key, after, why });
    access.set(pair, add({ ...what, kind: 'access', key, target: there, allowedBy }));
  };

  const shareOne = (
    from: EncryptedCopy | undefined,
    snapshotId: string | undefined,
    takers: readonly MakingPlan[],
  ): void => {
    const region = from?.place.region ?? place.region;
    const { resource, name, after } = supply(from, snapshotId);
    const accounts = [...new Set(takers.map(({ target }) => target.request.account))];
    const why = `${listed(accounts)} copy it; taken back at the end`;
    const id = `share ${snapshotId ?? sourceName} in ${region}`;
    // By who may use the key, a later run knows a share of ours, should this one be killed.
    const afterEnd = [...new Set(takers.flatMap(({ target }) => allowed.get(target) ?? []))];
    const what = { ...told({ id, place: { account, region }, of: [name], after, why }), afterEnd };
    const type = snapshotId === undefined ? 'image' : 'snapshot';
    shared.set(`${region} ${snapshotId ?? ''}`, add({ ...what, kind: 'share', type, resource, accounts }));
  };

  return {
    operations,
    create(instanceId) {
      const { earlierTry } = source;
      if (earlierTry?.State === 'pending') {
        const why = `an earlier try is making the AMI of ${instanceId}`;
        const awaited = told({ id: `create ${sourceName}`, place, of: [earlierTry.ImageId ?? ''], after: [], why });
        begin = [add({ ...awaited, kind: 'await', image: earlierTry })];
        return;
      }
      const noReboot = request.image.by === 'instance' && request.image.noReboot;
      const why = `the AMI is made of ${instanceId}, and stays`;
      const vain = { place, after: [], why: 'an earlier attempt failed, and the new AMI needs its name' };
      const after = earlierTry === undefined ? [] : [add(deregistering(earlierTry, 'vain', vain))];
      const what = told({ id: `create ${sourceName}`, place, of: [instanceId], after, why });
      const tags = tagsOfTargets(request, source, place);
      begin = [add({ ...what, kind: 'create', instanceId, noReboot, name: sourceName, tags })];
    },
    lease() {
      const regions = encryptedCopies.map((copy) => copy.place.region).filter((region) => region !== place.region);
      const why = 'other runs on this AMI see that this one needs what they share';
      const what = told({ id: `lease ${sourceName}`, place, of: [sourceName], after: begin, why });
      const references = referencesMark(targets);
      const own = { regions, takesSince: takenOverSince(targets), references };
      begin = [add({ ...what, kind: 'lease', imageId: source.imageId, ...own })];
    },
    encrypt(copy) {
      if (copy.only === undefined) encryptImage(copy);
      else for (const snapshot of copy.only) encryptSnapshot(copy, snapshot);
    },
    allow(takers) {
      // All regions of an account are served at once.
      for (const taker of takers) for (const key of taker.sourceKeys) allowOne(key, taker);
    },
    share(takers) {
      for (const [from, group] of Map.groupBy(takers, (one) => one.from)) {
        for (const { id } of source.snapshots) shareOne(from, id, group);
        const launchers = group.filter(({ action }) => action === 'copy');
        if (launchers.length > 0) shareOne(from, undefined, launchers);
      }
    },
    begin: () => begin,
    supplied({ from, crossAccount, sourceKeys, target }, snapshotId) {
      const one = supply(from, snapshotId);
      if (!crossAccount) return one;
      const own = shared.get(`${from?.place.region ?? place.region} ${snapshotId ?? ''}`) ?? [];
      const keys = sourceKeys.flatMap((key) => access.get(`${key} ${target.principalArn}`) ?? []);
      return { ...one, after: [own, keys].flat() };
    },
  };
}

const encrypting = 'what is under no customer managed key that others can be given is copied under one first';

/** What the AMI is called: its ID, or its name where it is yet to be made. */
export function nameOfSource({ source: { instanceId, image, imageId } }: Pick<Decided, 'source'>): string {
  return instanceId === undefined ? imageId : (image.Name ?? '');
}

function snapshotCopyId({ place }: EncryptedCopy, snapshotId: string): string {
  return `encrypted copy of ${snapshotId} in ${place.region}`;
}

/** The operation that gives the encrypted copy of the AMI, once it is available. */
export function imageCopyId({ place }: EncryptedCopy): string {
  return `encrypted copy in ${place.region}`;
}
