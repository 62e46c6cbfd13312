import type { LaunchPermission } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { readPolicy } from '../aws/key-policy.ts';
import { listGrants } from '../aws/kms.ts';
import { type Grants, mayLaunch, type Statement } from '../plan/launchers.ts';

/*
 * A boot test shows that the role that runs it can launch the AMI, and nothing of others. Of those whom the inputs name,
 * the key's grants and its policy tell whether they may use it.
 */

/** Who is to launch an AMI, by the inputs. */
export type Launchers = Readonly<{
  grantKeyTo: readonly string[];
  launchPermissions: readonly LaunchPermission[];
}>;

/** What is known of whether they may use the key, a sentence each. */
export type Told = Readonly<{ fine: readonly string[]; lacking: readonly string[] }>;

/** Reads a key's grants and its policy, and compares who they let use it with who is to launch. @throws AwsCallError */
export async function compareLaunchers(place: Place, keyArn: string, launchers: Launchers): Promise<Told> {
  const { grantKeyTo, launchPermissions } = launchers;
  const accounts = launchPermissions.flatMap(({ UserId }) => UserId ?? []);
  const wider = launchPermissions.flatMap((one) => one.OrganizationArn ?? one.OrganizationalUnitArn ?? []);
  if (grantKeyTo.length + accounts.length + wider.length === 0) return { fine: [], lacking: [] };
  const grants: Grants = await listGrants(place, keyArn);
  const policy = await readPolicy(place, keyArn);
  const statements = [policy.Statement].flat() as Statement[];
  const fine: string[] = [];
  const lacking: string[] = [];
  for (const principal of grantKeyTo) {
    const has = grants.some(({ GranteePrincipal }) => GranteePrincipal === principal);
    fine.push(`${principal} ${has ? 'has' : 'gets'} the grant on ${keyArn} that grant-key-to asks for`);
  }
  for (const account of accounts.filter((one) => one !== place.account)) {
    const by = mayLaunch(account, { grants, statements, grantKeyTo });
    if (by !== undefined) fine.push(`account ${account} may use ${keyArn}, as ${by} lets it`);
    else
      lacking.push(
        `account ${account} may launch the AMI in ${placeName(place)} (launch-permissions), but neither the policy nor a grant of ${keyArn} lets it use that key: its instances end with Client.InternalError. What to do: name it in the policy of the key, or a principal of it in grant-key-to`,
      );
  }
  for (const arn of wider) fine.push(`whether ${arn} may use ${keyArn} is not compared: what is of it, only AWS knows`);
  return { fine, lacking };
}
