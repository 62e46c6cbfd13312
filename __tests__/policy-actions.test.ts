import { describe, expect, test } from '@jest/globals';
import { caseOf, changed, featureOf, inStatement, permissions, statementsIn } from './policy-cases.ts';
import { expectUntouched, share } from './shared-case.ts';

/* No action of the published policies is too many: without it a case fails, and preflight names it. */

/** No call can tell these beforehand without doing what they allow: the run's own error names them. */
const foundLater = new Set([
  'source-key-policy kms:PutKeyPolicy',
  'target-ssm-parameter ssm:PutParameter',
  'target-ssm-parameter ssm:AddTagsToResource',
]);
/** A case fails without these only where something has to be taken back that this case doesn't leave. */
const forCleaningUp = new Set([
  'source-role kms:ListGrants',
  'source-regional-hub kms:ListGrants',
  'target-ssm-parameter ssm:DeleteParameter',
  'target-role ec2:DeleteSnapshot',
  'target-role ec2:DeregisterImage',
  'source-regional-hub ec2:DeleteTags',
]);

describe('with one action less, preflight names it, and the case fails', () => {
  const removals = permissions.flatMap((file) =>
    statementsIn(file)
      .filter(({ Effect }) => Effect === 'Allow')
      .flatMap(({ Sid = '', Action }) => [Action].flat().map((action) => [file, action, Sid] as const)),
  );

  test.each(removals)('%s without %s (%s)', async (file, action, sid) => {
    const without = inStatement(file, sid, (statement) => {
      const kept = [statement.Action].flat().filter((one) => one !== action);
      return kept.length === 0 ? undefined : { ...statement, Action: kept };
    });
    const shared = changed(caseOf(featureOf(file, action)), without);
    const dry = await share(shared, { 'dry-run': 'true' });
    expectUntouched(dry);
    const told = dry.main.annotations.map(({ message }) => message).join('\n');
    const name = `${file} ${action}`;
    if (!foundLater.has(name) && name !== 'target-ssm-parameter ssm:DeleteParameter') expect(told).toContain(action);
    // What stops the dry run stops the run; a warning may turn out to have been right.
    if (dry.main.conclusion === 'failure' || forCleaningUp.has(name)) return;
    const real = await share(shared);
    const said = real.main.annotations.map(({ message }) => message).join('\n');
    expect(said).not.toBe('');
    if (foundLater.has(name)) expect(said).toContain(action);
  });
});
