import type { GetInstanceProfileResponse } from '@aws-sdk/client-iam';
import { authorizeIam, type Principal } from './iam.ts';
import { Refusal } from './refusal.ts';
import type { World } from './world.ts';

/* IAM's instance profiles, which are an account's in all its regions. */

type IamCall = Readonly<{ world: World; caller: Principal }>;

/** The name of the role of an instance profile, empty where it has none; undefined where there is no such profile. */
export function profileRoleOf({ world, caller }: IamCall, name: string): string | undefined {
  const regions = world.accounts[caller.account]?.regions.values() ?? [];
  return [...regions].map(({ launching }) => launching.profiles.get(name)).find((role) => role !== undefined);
}

export function profileArnOf({ world, caller }: IamCall, name: string): string {
  return `arn:${world.accounts[caller.account]?.partition ?? 'aws'}:iam::${caller.account}:instance-profile/${name}`;
}

export function roleArnOf({ world, caller }: IamCall, role: string): string {
  return `arn:${world.accounts[caller.account]?.partition ?? 'aws'}:iam::${caller.account}:role/${role}`;
}

type Handler = (call: IamCall, input: Readonly<Record<string, unknown>>) => Promise<Record<string, unknown>>;

/** https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html */
export const iamHandlers: Readonly<Record<string, Handler>> = {
  async GetInstanceProfile(call, input): Promise<GetInstanceProfileResponse & Record<string, unknown>> {
    const name = String(input.InstanceProfileName);
    const Arn = profileArnOf(call, name);
    await authorizeIam(call.caller, 'iam:GetInstanceProfile', { resource: Arn, as: `instance profile ${name}` });
    const role = profileRoleOf(call, name);
    if (role === undefined) throw new Refusal('NoSuchEntity', `Instance Profile ${name} cannot be found.`, 404);
    const made = { Path: '/', CreateDate: new Date(0) };
    const Roles = role === '' ? [] : [{ ...made, RoleName: role, RoleId: 'AROASIMULATED', Arn: roleArnOf(call, role) }];
    return { InstanceProfile: { ...made, InstanceProfileName: name, InstanceProfileId: 'AIPASIMULATED', Arn, Roles } };
  },
};
