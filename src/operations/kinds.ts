import type { Result } from '../outcome.ts';
import type { Kind, Operation, OperationOf } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { access, allow, asksToAllow } from './allow.ts';
import { asksToBoot, boot } from './boot.ts';
import { asksToCopy, copy } from './copy.ts';
import { asksToCopyImage, copyImage } from './copy-image.ts';
import { asksToCreate, create } from './create.ts';
import { asksToDeregister, deregister } from './deregister.ts';
import { asksToAwait, asksToEncrypt, awaitCopy, encrypt } from './encrypt.ts';
import { takingUnder } from './key-questions.ts';
import { asksForLease, lease } from './lease.ts';
import { putBack, setParameter } from './parameter.ts';
import { asksToProtect, protect } from './protect.ts';
import { asksToPublish, publish } from './publish.ts';
import { asksToMark, markPublished } from './published.ts';
import { type Asking, asksForUsers, type Question } from './question.ts';
import { readReferences } from './ready.ts';
import { asksToRegister, register } from './register.ts';
import { asksToUntag, deletion, remove, untag } from './remove.ts';
import { restore } from './restore.ts';
import { reuse } from './reuse.ts';
import { asksToShare, share } from './share.ts';
import { asksForVersion, makeVersion, undoVersion } from './template-version.ts';
import { asksForUsage, askUsage } from './usage-report.ts';
import { asksToVerify, verify } from './verify.ts';

/**
 * What AWS is asked before an operation of each kind, by the dry run of the very call that it makes where there is one, and
 * how it is done. What it makes for a time is taken back at the run's end by what it is tagged with (release.ts); `undo` is
 * for what must be as before as soon as its island has failed.
 */
type Kinds = {
  readonly [K in Kind]: Readonly<{
    asks(operation: OperationOf<K>, asking: Asking): readonly Question[];
    perform(operation: OperationOf<K>, scope: Scope): Promise<Result>;
    /** Gives whether it is as before. */
    undo?(operation: OperationOf<K>, scope: Scope): Promise<boolean>;
  }>;
};

/** What is only read was read when it was planned; what SSM would take is told by no call but the one that sets it. */
const nothing = () => [];

export const kinds: Kinds = {
  create: { asks: asksToCreate, perform: create },
  lease: { asks: asksForLease, perform: lease },
  encrypt: { asks: asksToEncrypt, perform: encrypt },
  await: { asks: asksToAwait, perform: awaitCopy },
  allow: { asks: asksToAllow, perform: allow },
  access: { asks: ({ key }) => takingUnder(key), perform: access },
  share: { asks: asksToShare, perform: share },
  copy: { asks: asksToCopy, perform: copy },
  'copy-image': { asks: asksToCopyImage, perform: copyImage },
  register: { asks: asksToRegister, perform: register },
  verify: { asks: asksToVerify, perform: verify },
  // With `retain`, what uses the older AMIs must be known.
  reuse: { asks: (_, asking) => asksForUsers(asking), perform: reuse },
  boot: { asks: asksToBoot, perform: boot },
  publish: { asks: asksToPublish, perform: publish },
  protect: { asks: asksToProtect, perform: protect },
  'ask-usage': { asks: asksForUsage, perform: askUsage },
  published: { asks: asksToMark, perform: markPublished },
  ready: { asks: nothing, perform: readReferences },
  parameter: { asks: nothing, perform: setParameter, undo: putBack },
  'template-version': { asks: asksForVersion, perform: makeVersion, undo: undoVersion },
  deregister: { asks: asksToDeregister, perform: deregister, undo: restore },
  delete: { asks: ({ snapshotIds: [id = ''] }) => [deletion(id)], perform: remove },
  untag: { asks: asksToUntag, perform: untag },
};

export function perform(operation: Operation, scope: Scope): Promise<Result> {
  return kinds[operation.kind].perform(operation as never, scope);
}

/** What AWS is asked before an operation. */
export function asks(operation: Operation, asking: Asking): readonly Question[] {
  return kinds[operation.kind].asks(operation as never, asking);
}
