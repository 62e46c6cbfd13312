import type { Image, LaunchPermission, Tag } from '@aws-sdk/client-ec2';
import type { Where } from '../aws/errors.ts';
import type { ImageExtras } from '../image.ts';
import type { DeregistrationProtection } from '../inputs/publication.ts';
import type { CreationTags } from './creation-tags.ts';
import type { BootSite, LaunchTemplate, SourceSnapshot } from './facts.ts';

/*
 * The plan is one list of operations: it is shown, priced, checked, walked, reported and undone, and nothing of it is
 * worked out again anywhere else. An operation is plain data; how a kind is done and undone stands in operations/.
 */

/** A resource that is there, by its ID; or what another operation makes. */
export type Ref = Readonly<{ id: string }> | Readonly<{ madeBy: string }>;

type Base = Readonly<{
  /** Names it, once in a plan. */
  id: string;
  place: Where;
  /** What it is done to: IDs, or the name of what is yet to be made. */
  of: readonly string[];
  kmsKeyArn: string | undefined;
  /** The operations that must be done before it begins; they stand before it in the list. */
  after: readonly string[];
  /** Those that must have come to their end, whatever it is. */
  afterEnd?: readonly string[];
  why: string;
  /**
   * Operations of one island succeed together: when one fails, those that have not begun don't begin, those that wait end,
   * and what was done is undone where its kind says how. A target is one (`account/region`), the SSM parameters are one.
   */
  island: string | undefined;
}>;

/** What is told of an operation, whatever its kind. */
export function told({
  key,
  island,
  ...rest
}: Omit<Base, 'kmsKeyArn' | 'island'> & { key?: string; island?: string }): Base {
  return { ...rest, kmsKeyArn: key, island };
}

/** Makes the AMI of an instance. */
export type Create = Base &
  Readonly<{ kind: 'create'; instanceId: string; noReboot: boolean; name: string; tags: CreationTags }>;

/**
 * Says on the source AMI that this run lives; `regions` are those besides the source's in which it makes copies, and what it
 * takes over was begun from `takesSince` on. While it sets what names the AMIs, it bears their mark (plan/references.ts).
 */
export type Lease = Base &
  Readonly<{
    kind: 'lease';
    imageId: string;
    regions: readonly string[];
    takesSince: number | undefined;
    references: string | undefined;
  }>;

/** Begins an encrypted copy of the AMI by CopyImage. */
export type EncryptImage = Base &
  Readonly<{ kind: 'encrypt'; name: string; key: string; tags: CreationTags; snapshot: undefined }>;
/** An encrypted copy of one snapshot by CopySnapshot; ends when it is completed. */
export type EncryptSnapshot = Base &
  Readonly<{ kind: 'encrypt'; key: string; tags: CreationTags; snapshot: SourceSnapshot }>;
/**
 * Waits for an encrypted copy: of the AMI, for the copy of one of its snapshots or for the image itself; or of one
 * snapshot. One that another run made may go before this run's lease is seen: then it is made again.
 */
export type Await = Base &
  Readonly<{
    kind: 'await';
    key: string;
    copy: Ref;
    /** The source's snapshot whose copy is waited for; undefined for the image. */
    snapshotId: string | undefined;
    remake: Readonly<{ name: string; tags: CreationTags; snapshot: SourceSnapshot | undefined }>;
  }>;

/** Lets targets use a key of the source account: by a grant to one principal, or by a statement for accounts. */
export type Allow = Base &
  Readonly<{ kind: 'allow'; key: string }> &
  (Readonly<{ by: 'grant'; principalArn: string }> | Readonly<{ by: 'policy'; accounts: readonly string[] }>);
/** Waits until calls of the target's own show that it may use the key. */
export type Access = Base & Readonly<{ kind: 'access'; key: string; target: Where; allowedBy: string | undefined }>;

/** Shares a snapshot, or the image, of the source account with accounts. */
export type Share = Base &
  Readonly<{ kind: 'share'; type: 'image' | 'snapshot'; resource: Ref; accounts: readonly string[] }>;

/** Copies a snapshot into a target; or takes over the copy that an earlier run began. */
export type Copy = Base &
  Readonly<{
    kind: 'copy';
    snapshot: SourceSnapshot;
    from: Ref;
    fromRegion: string;
    key: string;
    takeOver: string | undefined;
    /** The lineage that its description says. */
    lineage: string | undefined;
    tags: readonly Tag[];
    /** What gives the target access to what it copies, to be done again should it have been taken away. */
    regain: readonly string[];
  }>;

/** Copies the AMI into a target; or takes over the image that an earlier run began. */
export type CopyImage = Base &
  Readonly<{
    kind: 'copy-image';
    from: Ref;
    fromRegion: string;
    key: string;
    name: string;
    description: string | undefined;
    takeOver: string | undefined;
    imageTags: readonly Tag[];
    /** By the source's snapshot; CopyImage gives all of them the same, `anyTags`, so they follow when it is there. */
    snapshotTags: ReadonlyMap<string, readonly Tag[]>;
    anyTags: readonly Tag[];
    regain: readonly string[];
    expected: Expected;
  }>;

/** Registers the AMI in a target of the copies that other operations make. */
export type Register = Base &
  Readonly<{
    kind: 'register';
    name: string;
    description: string | undefined;
    tags: readonly Tag[];
    /** By the source's snapshot, the operation that copies it. */
    copies: ReadonlyMap<string, string>;
    /** Waits for the image whose owner alone can read its UEFI variables; without it, the source's are known. */
    extrasOf: string | undefined;
    expected: Expected;
  }>;

/** What a target AMI must be; where its description is another run's to choose, that is undefined. */
export type Expected = Readonly<{ key: string; description: string | undefined; tags: readonly Tag[] }>;

/** Completes what making the AMI can't be given, and compares it with the source; what differs is removed. */
export type Verify = Base & Readonly<{ kind: 'verify'; image: Ref; expected: Expected }>;

/** Waits for an AMI that another run makes: of this source in a target, or of the instance. */
export type AwaitImage = Base & Readonly<{ kind: 'await'; image: Image }>;
/** Uses an AMI of this source that is there; one that was waited for is compared first, and used or refused. */
export type Reuse = Base & Readonly<{ kind: 'reuse'; image: Image; expected: Expected; waits: boolean }>;

/** Launches an AMI that is right, sees whether it comes up, and ends the instance again. */
export type BootTest = Base & Readonly<{ kind: 'boot'; image: Ref; site: BootSite; settings: BootSettings }>;
type BootSettings = Readonly<{
  test: 'status' | 'ssm';
  timeoutMinutes: number;
  /** Whether an AMI that could not be tested fails. */
  required: boolean;
  /** Who launches it. */
  principal: string;
  /** Who else is to launch it, by the inputs. */
  launchers: LaunchSettings;
  /** The tags of the instance and its volumes, but for the run's lease. */
  tags: readonly Tag[];
  /** An earlier AMI, by which AWS can be asked beforehand whether the role may launch one. */
  earlier: string | undefined;
}>;

/** Does with a right AMI what the inputs ask for beside it. */
export type Publish = Base & Readonly<{ kind: 'publish'; image: Ref; settings: PublishSettings }>;
export type PublishSettings = Readonly<{
  key: string;
  grantKeyTo: readonly string[];
  /** Service-linked roles of other accounts, which no grant from here can be made for. */
  grantElsewhere: readonly string[];
  launchPermissions: readonly LaunchPermission[];
  protection: DeregistrationProtection;
  /** When the AMI is deprecated; ms since the epoch. `keep`: one that it has already stays. */
  deprecateAt: Readonly<{ at: number; keep: boolean }> | undefined;
  /** Zones in which fast snapshot restore is turned on. */
  zones: readonly string[];
}>;

/** Who is to launch an AMI in another account, and the key that they have to use. */
export type LaunchSettings = Pick<PublishSettings, 'key' | 'grantElsewhere' | 'launchPermissions'>;

/** Protects an AMI of a lineage again, which has come into use after its protection was lifted. */
export type Protect = Base & Readonly<{ kind: 'protect'; image: Image; cooldown: boolean }>;

/** Asks AWS for a report on which accounts use an AMI, which a later run reads; it `replaces` those that say it no more. */
export type AskUsage = Base &
  Readonly<{ kind: 'ask-usage'; image: Image; replaces: readonly string[]; tags: readonly Tag[] }>;

/**
 * Says on an AMI of a lineage that it is published, unless that `isSaid`, and on the `former` ones what came after them. One
 * that `isBack` was superseded, and is no more.
 */
export type Published = Base &
  Readonly<{ kind: 'published'; image: Ref; former: readonly string[]; isSaid: boolean; isBack: boolean }>;

/**
 * All that it comes after is done. What there is of the references that are then to be set is read first, for all of
 * them; those that are `settled` are not put back any more.
 */
export type Ready = Base & Readonly<{ kind: 'ready'; sets: readonly Reference[]; settled: readonly Reference[] }>;

/** Sets an SSM parameter to the target's AMI. The user's `tags` are for one that is new. */
export type Parameter = Base & Readonly<{ kind: 'parameter'; name: string; image: Ref; tags: CreationTags }>;

/** Makes a version of a launch template with the target's AMI, and the default one if that is asked for. */
export type TemplateVersion = Base & Readonly<{ kind: 'template-version'; template: LaunchTemplate; image: Ref }>;

/** What names the AMI to those who launch it. */
export type Reference = Parameter | TemplateVersion;

/**
 * Deregisters an AMI of ours and deletes its snapshots: one that a run left half-made, that the new one replaces, or that
 * retain leaves no room for. For its `name` alone it keeps its snapshots, until the new one is right.
 */
export type Deregister = Base &
  Readonly<{
    kind: 'deregister';
    image: Image;
    reason: 'vain' | 'left' | 'name' | 'replaced' | 'retain';
    /** Once this operation is done, it isn't undone any more: the new AMI has the name. */
    until: string | undefined;
    /** What registering it again takes beside its image. */
    extras: ImageExtras;
    /** Whether its protection is this action's, and lifted first. */
    lifts: boolean;
    /** The usage report by which it goes although others may launch it; it goes with the AMI. */
    report: string | undefined;
  }>;
/** Deletes snapshots that no AMI has: those that runs left, or those of an AMI that has given its name up. */
export type Delete = Base & Readonly<{ kind: 'delete'; snapshotIds: readonly string[]; superseded?: string }>;
/** Takes the lease of a run off what is finished: `resources`, and what the operation `finishes` made. */
export type Untag = Base & Readonly<{ kind: 'untag'; resources: readonly string[]; finishes: string | undefined }>;

export type Operation =
  | Create
  | Lease
  | EncryptImage
  | EncryptSnapshot
  | Await
  | AwaitImage
  | Allow
  | Access
  | Share
  | Copy
  | CopyImage
  | Register
  | Verify
  | Reuse
  | BootTest
  | Publish
  | Published
  | Protect
  | AskUsage
  | Ready
  | Parameter
  | TemplateVersion
  | Deregister
  | Delete
  | Untag;

export type Kind = Operation['kind'];
export type OperationOf<K extends Kind> = Extract<Operation, { kind: K }>;
