import { setFlagsFromString } from 'node:v8';
import type { Action } from './action.ts';
import { auditAction } from './actions/audit.ts';
import { recallAction } from './actions/recall.ts';
import { shareAction } from './actions/share.ts';
import { sweepAction } from './actions/sweep.ts';
import { errorMessage } from './aws/errors.ts';
import type { Reach } from './inputs/reach.ts';
import { main } from './main.ts';
import { nodeHost } from './node-host.ts';
import { post as postStep } from './post.ts';
import { logText } from './report/text.ts';
import { CancelError } from './time.ts';

/*
 * What dist/ is made of: a function for each entry that a manifest names. Importing it runs nothing, and loads only what
 * every start takes: what calls AWS is imported when it is begun.
 */

/** The main step of the main action. */
export const share = (): void => start(shareAction);
/** Its post step. It catches whatever comes, and never fails the job. */
export const post = (): void => void postStep(nodeHost());
export const sweep = (): void => start(sweepAction);
export const audit = (): void => start(auditAction);
export const recall = (): void => start(recallAction);

function start<R extends Reach>(action: Action<R>): void {
  collectEarly();
  const cancelled = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => cancelled.abort(new CancelError(`the run was cancelled (${name})`)));
  const host = nodeHost();
  main(host, cancelled.signal, action).catch((error: unknown) => {
    host.runner.fail();
    host.runner.error(logText(errorMessage(error)));
  });
}

/**
 * V8 sizes its heap for speed and lets it grow with what the machine has: at a thousand targets to 500 MB, of which 50
 * are in use. With a young generation that stays as it starts and an old one that grows by 30 % it's 200 MB, at no
 * measurable cost in time: nearly all that a call makes dies young.
 */
function collectEarly(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=30');
}
