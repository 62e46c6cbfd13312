import { placeName } from '../aws/errors.ts';
import type { Request } from '../inputs.ts';
import { tagPrefix } from '../tags.ts';
import { isMaking, type Plan, type TargetPlan } from './decided.ts';
import type { Approved, ApprovedTarget } from './digest.ts';
import { isOwn } from './earlier.ts';
import type { Source } from './facts.ts';
import { launcherName } from './usage-report.ts';

/** What a person approves of a plan. An AMI that is made of an instance is approved by that: what it will hold, nobody knows. */
export function approvedOf(request: Request, { source, targets, leftOut }: Plan): Approved {
  const { image } = request;
  return {
    source:
      image.by === 'instance'
        ? { amiId: null, instanceId: image.id, snapshots: [] }
        : { amiId: source.imageId, instanceId: null, snapshots: source.snapshots.map(({ id }) => id) },
    targets: targets.map((target) => approvedTarget(request, source, target)),
    leftOut: leftOut.map(({ target }) => placeName(target)),
  };
}

function approvedTarget(request: Request, source: Source, plan: TargetPlan): ApprovedTarget {
  const { target, route, replace, retained } = plan;
  const removed = [...replace, ...(retained?.remove ?? [])];
  return {
    account: target.request.account,
    region: target.request.region,
    optional: target.request.optional,
    roleArn: target.roleArn ?? null,
    kmsKeyArn: target.kmsKeyArn,
    route,
    nameTemplate: target.request.amiName,
    descriptionTemplate: request.description ?? null,
    tagTemplates: [...Object.entries(target.request.tags), ...copiedTags(request, source)],
    publication: JSON.parse(JSON.stringify(request.publication)),
    reuses: !isMaking(plan) && !isMadeByRun(request, plan) ? (plan.image.ImageId ?? '') : null,
    deregisters: removed.map(({ ImageId = '' }) => ImageId),
    access: accessOf(request, source, plan),
  };
}

/** The tags that come along from the source; on its snapshots each under its ID. */
function copiedTags({ copyTags, image: { by } }: Request, { image, snapshots }: Source): [string, string][] {
  if (!copyTags || by === 'instance') return [];
  const pairs = (of: string, tags: Source['image']['Tags'] = []) =>
    tags
      .filter(({ Key = '' }) => !Key.startsWith(tagPrefix) && !Key.startsWith('aws:'))
      .map(({ Key = '', Value = '' }): [string, string] => [`${of}/${Key}`, Value]);
  return [...pairs('source', image.Tags), ...snapshots.flatMap(({ id, tags }) => pairs(id, [...tags]))];
}

/** Who gets access to what, for good or for the time of copying. */
function accessOf(request: Request, source: Source, plan: TargetPlan): string[] {
  const { publication, hubKmsKey } = request;
  const { keyAccess } = request.source;
  const { principalArn, kmsKeyArn, request: asked } = plan.target;
  const copier = keyAccess === 'policy' ? `account ${asked.account}` : principalArn;
  const shareable = source.snapshots.flatMap(({ kmsKeyArn: key, obstacle }) =>
    obstacle === undefined ? (key ?? []) : [],
  );
  const keys = [...new Set([...shareable, source.kmsKeyArn ?? [], hubKmsKey ?? []].flat())].sort();
  const lends = isMadeByRun(request, plan) && asked.account !== source.account && keyAccess !== 'existing';
  return [
    ...(lends ? [`${copier} copies what is under ${keys.join(', ')}`] : []),
    ...publication.grantKeyTo.map((principal) => `${principal} uses ${kmsKeyArn}`),
    ...publication.launchPermissions.map((permission) => `${launcherName(permission)} launches the AMI`),
  ];
}

/** Whether the run makes the AMI, or has made it before, which was approved with it. */
function isMadeByRun(request: Request, plan: TargetPlan): boolean {
  return isMaking(plan) || isOwn(request, plan.image);
}
