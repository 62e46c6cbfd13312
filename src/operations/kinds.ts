import type { Result } from '../outcome.ts';
import type { Kind, Operation, OperationOf } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { access, allow } from './allow.ts';
import { copy } from './copy.ts';
import { copyImage } from './copy-image.ts';
import { create } from './create.ts';
import { deregister, restore } from './deregister.ts';
import { awaitCopy, encrypt } from './encrypt.ts';
import { lease } from './lease.ts';
import { putBack, readParameters, setParameter } from './parameter.ts';
import { publish } from './publish.ts';
import { register } from './register.ts';
import { remove, untag } from './remove.ts';
import { reuse } from './reuse.ts';
import { share } from './share.ts';
import { verify } from './verify.ts';

/**
 * How an operation of each kind is done. What it makes for a time is taken back at the run's end by what it is tagged with
 * (release.ts); `undo` is for what must be as before as soon as its island has failed.
 */
type Kinds = {
  readonly [K in Kind]: Readonly<{
    perform(operation: OperationOf<K>, scope: Scope): Promise<Result>;
    /** Gives whether it is as before. */
    undo?(operation: OperationOf<K>, scope: Scope): Promise<boolean>;
  }>;
};

export const kinds: Kinds = {
  create: { perform: create },
  lease: { perform: lease },
  encrypt: { perform: encrypt },
  await: { perform: awaitCopy },
  allow: { perform: allow },
  access: { perform: access },
  share: { perform: share },
  copy: { perform: copy },
  'copy-image': { perform: copyImage },
  register: { perform: register },
  verify: { perform: verify },
  reuse: { perform: reuse },
  publish: { perform: publish },
  ready: { perform: readParameters },
  parameter: { perform: setParameter, undo: putBack },
  deregister: { perform: deregister, undo: restore },
  delete: { perform: remove },
  untag: { perform: untag },
};

export function perform(operation: Operation, scope: Scope): Promise<Result> {
  return kinds[operation.kind].perform(operation as never, scope);
}
