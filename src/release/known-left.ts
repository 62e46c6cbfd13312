import { tagKeys } from '../tags.ts';
import type { Releasing } from './releasing.ts';

/**
 * What a run has written down as its own, each as a sentence: all that can be told where nothing can be looked at, such as
 * when no session is to be had any more.
 */
export function knownLeft({ state, grants, stated = [] }: Releasing): string[] {
  const { account, shares, grantKeys, regions, targets, boots, leaseId } = state;
  // Grants that the run knows of are revoked whatever else can be looked at.
  const keys = grants === undefined ? grantKeys : stated;
  const places = Object.values(targets).flat();
  const lease = `the tag ${tagKeys.lease}=${leaseId}`;
  return [
    ...shares.map(
      ({ region, resources, accounts }) =>
        `${resources.join(', ')} in ${account}/${region} may still be shared with ${accounts.join(', ')}`,
    ),
    ...keys.map((key) => `access by the lease ${leaseId} may still be on ${key}`),
    ...regions.map((region) => `an encrypted copy with ${lease} may be in ${account}/${region}`),
    ...(places.length > 0
      ? [`snapshots${boots ? ', AMIs and instances' : ' and AMIs'} with ${lease} may be in ${places.join(', ')}`]
      : []),
  ];
}
