import type { RoleScenario, Scenario } from '../simulator/scenario.ts';
import { regionOf, type SimImage, type SimSnapshot } from '../simulator/world.ts';
import { openClients, type Place, placesOf } from '../src/aws/clients.ts';
import { handlerOf, type Simulator, startSimulator } from './in-process.ts';

/** So often a call is tried again with new credentials. */
export const renewals = 5;

type AccountOptions = Readonly<{
  policy?: RoleScenario['policies'][number];
  guards?: RoleScenario['guards'];
  timings?: Scenario['timings'];
  rules?: Scenario['rules'];
}>;

export type Account = Awaited<ReturnType<typeof openAccount>>;

/**
 * One account of a simulated AWS, called from this very process: as its administrator, or as a role that may do what
 * `policy` says.
 */
export async function openAccount(
  account: string,
  regions: NonNullable<Scenario['accounts'][string]['regions']>,
  { policy, guards = [], timings = {}, rules = {} }: AccountOptions = {},
) {
  const roles = policy && { role: { trust: {}, policies: [policy], guards } };
  const simulator: Simulator = await startSimulator({
    accounts: { [account]: { regions, ...(roles && { roles }) } },
    ambient: { account, ...(roles && { role: 'role' }) },
    timings,
    rules,
  });
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN = '' } = simulator.env;
  const identity = {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN,
  };
  const stop = new AbortController();
  const session = { credentials: async () => identity, current: () => identity, renew: () => true };
  const at: (region: string) => Place = placesOf(openClients({ clock: simulator.clock, http: handlerOf(simulator) }), {
    account,
    session,
    signal: stop.signal,
  });
  const stateIn = (region: string) => regionOf(simulator.world, account, region);
  return {
    simulator,
    at,
    stop,
    imageIn(region: string, id: string): SimImage {
      const image = stateIn(region).images.get(id);
      if (image === undefined) throw new Error(`no ${id} in ${region}`);
      return image;
    },
    /** The images that are there, by name. */
    images: (region: string) =>
      [...stateIn(region).images.values()].flatMap(({ data, deregisteredAt }) =>
        deregisteredAt === undefined ? [data.Name] : [],
      ),
    snapshots: (region: string): SimSnapshot[] => [...stateIn(region).snapshots.values()],
    deregister(region: string, id: string): void {
      const image = stateIn(region).images.get(id);
      if (image !== undefined) image.deregisteredAt = simulator.clock.now();
    },
    removeImage: (region: string, id: string) => stateIn(region).images.delete(id),
    removeSnapshot(region: string, index: number): void {
      const { snapshots } = stateIn(region);
      const id = [...snapshots.keys()][index];
      if (id !== undefined) snapshots.delete(id);
    },
    key(region: string, alias: string) {
      const { keys, aliases } = stateIn(region);
      const key = keys.get(aliases.get(`alias/${alias}`) ?? '');
      if (key === undefined) throw new Error(`no key ${alias} in ${region}`);
      return key;
    },
    /** Has AWS refuse a call, from the `nth` on, for as long as it is tried again with new credentials. */
    refuse: (action: string, nth = 1) =>
      simulator.addFault({ kind: 'expired-session', action, nth, times: renewals + 1 }),
    writes: () => simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok'),
    [Symbol.asyncDispose]: () => simulator.close(),
  };
}
