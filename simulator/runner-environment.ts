// What a step finds around it: the action's inputs, and the variables that the runner sets.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

/** The `github` context, under its own names: https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context */
export type GithubContext = {
  action: string;
  action_ref: string;
  action_repository: string;
  actor: string;
  actor_id: string;
  api_url: string;
  base_ref: string;
  /** The webhook's payload, which GITHUB_EVENT_PATH names a file of. */
  event: unknown;
  event_name: string;
  graphql_url: string;
  head_ref: string;
  job: string;
  ref: string;
  ref_name: string;
  ref_protected: string;
  ref_type: string;
  repository: string;
  repository_id: string;
  repository_owner: string;
  repository_owner_id: string;
  retention_days: string;
  run_attempt: string;
  run_id: string;
  run_number: string;
  server_url: string;
  sha: string;
  /** `github.token`: never a variable of its own, only where an input's default asks for it. */
  token: string;
  triggering_actor: string;
  workflow: string;
  workflow_ref: string;
  workflow_sha: string;
};

export function githubContext(given: Partial<GithubContext> = {}): GithubContext {
  const repository = given.repository ?? 'acme/images';
  const ref = given.ref ?? 'refs/heads/main';
  const sha = given.sha ?? '8f4e1c2d9b7a6053f1e2d3c4b5a697887766554e';
  const serverUrl = given.server_url ?? 'https://github.com';
  const isCloud = serverUrl === 'https://github.com';
  const owner = repository.split('/')[0] ?? repository;
  return {
    action: '__self',
    action_ref: 'v1',
    action_repository: 'acme/share-encrypted-ami',
    actor: 'octocat',
    actor_id: '583231',
    // GitHub Enterprise Server has its API under the host's own /api.
    api_url: isCloud ? 'https://api.github.com' : `${serverUrl}/api/v3`,
    base_ref: '',
    event: { ref, after: sha, repository: { full_name: repository } },
    event_name: 'push',
    graphql_url: isCloud ? 'https://api.github.com/graphql' : `${serverUrl}/api/graphql`,
    head_ref: '',
    job: 'share',
    ref,
    ref_name: ref.replace(/^refs\/(heads|tags|pull)\//, ''),
    ref_protected: 'true',
    ref_type: ref.startsWith('refs/tags/') ? 'tag' : 'branch',
    repository,
    repository_id: '123456789',
    repository_owner: owner,
    repository_owner_id: '98765432',
    retention_days: '90',
    run_attempt: '1',
    run_id: '4711',
    run_number: '42',
    server_url: serverUrl,
    sha,
    token: `ghs_${'0'.repeat(36)}`,
    triggering_actor: 'octocat',
    workflow: 'images',
    workflow_ref: `${repository}/.github/workflows/images.yml@${ref}`,
    workflow_sha: sha,
    ...given,
  };
}

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]).transform((value) => (value ?? '').toString());
const Manifest = z.object({
  inputs: z
    .record(
      z.string(),
      z.nullable(z.object({ default: scalar.optional(), deprecationMessage: z.string().optional() }).loose()),
    )
    .default({}),
  runs: z
    .object({ using: z.string(), main: z.string(), post: z.string().optional(), 'post-if': z.string().optional() })
    .loose(),
});

/** The part of an action's action.yml that the runner of a JavaScript action goes by. */
export type Manifest = z.infer<typeof Manifest>;

export function readManifest(folder: string): Manifest {
  const path = [join(folder, 'action.yml'), join(folder, 'action.yaml')].find((one) => existsSync(one));
  if (path === undefined) throw new Error(`no action.yml in ${folder}`);
  return Manifest.parse(parse(readFileSync(path, 'utf8')));
}

/** `with:`, the defaults filled in, and what the runner warns about (actions/runner, ActionRunner.cs). */
export function resolveInputs(
  manifest: Manifest,
  given: Readonly<Record<string, string>>,
  github: GithubContext,
): { inputs: Map<string, string>; warnings: string[] } {
  const names = Object.keys(manifest.inputs);
  const declared = new Map(names.map((name) => [name.toLowerCase(), name]));
  const inputs = new Map(Object.entries(given));
  const warnings: string[] = [];
  for (const name of inputs.keys()) {
    const message = manifest.inputs[declared.get(name.toLowerCase()) ?? '']?.deprecationMessage;
    if (message !== undefined) warnings.push(`Input '${name}' has been deprecated with message: ${message}`);
  }
  const unexpected = [...inputs.keys()].filter((name) => !declared.has(name.toLowerCase()));
  if (unexpected.length > 0) {
    warnings.push(`Unexpected input(s) '${unexpected.join("', '")}', valid inputs are ['${names.join("', '")}']`);
  }
  const isGiven = new Set([...inputs.keys()].map((name) => name.toLowerCase()));
  for (const name of names) {
    if (isGiven.has(name.toLowerCase())) continue;
    const text = manifest.inputs[name]?.default ?? '';
    inputs.set(
      name,
      text.replaceAll(/\$\{\{(.*?)\}\}/g, (_, expression: string) => evaluate(expression.trim(), github)),
    );
  }
  return { inputs, warnings };
}

/** Defaults rarely hold an expression, and then a `github.` one; what this can't evaluate isn't guessed. */
function evaluate(expression: string, github: GithubContext): string {
  const value = expression.startsWith('github.') ? github[expression.slice(7) as keyof GithubContext] : undefined;
  if (typeof value !== 'string') throw new Error(`this runner cannot evaluate the default \${{ ${expression} }}`);
  return value;
}

/** Where a job keeps its things. */
export type JobFolders = {
  root: string;
  workspace: string;
  temp: string;
  toolCache: string;
  home: string;
  event: string;
};

/** What the machine gives every process: nothing of the parent's environment but where programs are found. */
export function machineEnvironment(folders: JobFolders): Record<string, string> {
  return { CI: 'true', HOME: folders.home, LANG: 'C.UTF-8', PATH: process.env.PATH ?? '/usr/bin:/bin' };
}

/** The variables that the runner sets for every step and that `env:` can't change. */
export function runnerEnvironment(github: GithubContext, folders: JobFolders): Record<string, string> {
  const { event: _payload, token: _token, ...rest } = github;
  const variables = Object.entries(rest).map(([name, value]) => [`GITHUB_${name.toUpperCase()}`, value] as const);
  return {
    ...Object.fromEntries(variables),
    GITHUB_ACTIONS: 'true',
    GITHUB_EVENT_PATH: folders.event,
    GITHUB_WORKSPACE: folders.workspace,
    RUNNER_ARCH: 'X64',
    RUNNER_ENVIRONMENT: 'github-hosted',
    RUNNER_NAME: 'GitHub Actions 1',
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: folders.temp,
    RUNNER_TOOL_CACHE: folders.toolCache,
    RUNNER_WORKSPACE: folders.root,
  };
}

/** The runner upper-cases an input's name and turns spaces, but not hyphens, into underscores (Handler.cs). */
export function inputVariables(inputs: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries(
    [...inputs].map(([name, value]) => [`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`, value]),
  );
}
