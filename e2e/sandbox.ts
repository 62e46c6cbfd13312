// Two accounts to try the action in: AWS's own, an emulator's, or the simulator's. Whatever is read or made here goes by
// the administrators' roles, not the action's.
import { openClients, type Place, placesOf } from '../src/aws/clients.ts';
import { openSessions, type SessionSource } from '../src/aws/credentials.ts';

/** What has to be known of the accounts, each by its variable. */
const variables = {
  sourceAccount: 'E2E_SOURCE_ACCOUNT',
  sourceRegion: 'E2E_SOURCE_REGION',
  /** Role of the action, with the policies of docs/permissions.md. */
  sourceRole: 'E2E_SOURCE_ROLE',
  /** Role that makes, looks at and removes what the scenarios need. */
  sourceAdminRole: 'E2E_SOURCE_ADMIN_ROLE',
  /** ARN of a customer managed key in the source's region. */
  sourceKey: 'E2E_SOURCE_KEY',
  targetAccount: 'E2E_TARGET_ACCOUNT',
  targetRegion: 'E2E_TARGET_REGION',
  otherRegion: 'E2E_OTHER_REGION',
  targetRole: 'E2E_TARGET_ROLE',
  targetAdminRole: 'E2E_TARGET_ADMIN_ROLE',
  /** Alias of a customer managed key in both target regions. */
  targetKey: 'E2E_TARGET_KEY',
} as const;

export type Settings = Readonly<Record<keyof typeof variables, string>>;

export type Sandbox = Readonly<{
  settings: Settings;
  /** The run that everything is tagged with, and its URL. */
  runId: string;
  runUrl: string;
  source: Place;
  target: (region: string) => Place;
  /** How long what was done a moment ago may be seen late; less where it isn't AWS. */
  lagSeconds: number;
  /** Every account and region in which something may have been made. */
  places: readonly Place[];
}>;

/** The settings in `env`. @throws Error that names every variable that isn't set */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const missing = Object.values(variables).filter((name) => !env[name]);
  if (missing.length > 0) throw new Error(`these variables are not set: ${missing.join(', ')}`);
  return Object.fromEntries(Object.entries(variables).map(([key, name]) => [key, env[name] ?? ''])) as Settings;
}

/** The variables that hold `settings`. */
export function writeSettings(settings: Settings): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).map(([key, name]) => [name, settings[key as keyof typeof variables]]),
  );
}

/** Opens the accounts with the administrators' roles, by OIDC or from ambient credentials, as the action does with its own. */
export function openSandbox(
  settings: Settings,
  { runId, runUrl, lagSeconds }: Pick<Sandbox, 'runId' | 'runUrl' | 'lagSeconds'>,
  { host, signal }: Pick<SessionSource, 'host' | 'signal'>,
): Sandbox {
  const options = {
    stsRegion: settings.sourceRegion,
    sessionName: 'share-encrypted-ami-e2e',
    from: 'auto' as const,
    roleChaining: false,
    externalId: undefined,
    sessionTags: {},
    durationSeconds: 3600,
    audience: 'sts.amazonaws.com',
  };
  const clients = openClients(host);
  const sessions = openSessions({ options, host, signal });
  const open = (account: string, role: string) =>
    placesOf(clients, {
      account,
      session: sessions.target(role, { account, region: settings.sourceRegion }),
      signal,
    });
  const source = open(settings.sourceAccount, settings.sourceAdminRole)(settings.sourceRegion);
  const target = open(settings.targetAccount, settings.targetAdminRole);
  const regions = [...new Set([settings.targetRegion, settings.otherRegion])];
  return { settings, runId, runUrl, lagSeconds, source, target, places: [source, ...regions.map(target)] };
}
