// The mutants that no test notices, and why none can or need: mutants.mjs fails on every other one.
// Each is told by its file, how the line begins that it is in, the code that it changes, and what that becomes.

const plan = 'src/plan/plan.ts';
const planning = 'src/plan/planning.ts';
const encryptedCopies = 'src/plan/encrypted-copies.ts';
const target = 'src/plan/target.ts';
const targetTags = 'src/plan/target-tags.ts';
const approved = 'src/plan/approved.ts';
const digest = 'src/digest.ts';
const intermediates = 'src/plan/intermediates.ts';
const savedState = 'src/saved-state.ts';
const supply = 'src/plan/supply-operations.ts';
const earlier = 'src/plan/earlier.ts';
const route = 'src/plan/route.ts';
const image = 'src/image.ts';
const tags = 'src/tags.ts';
const lease = 'src/lease.ts';
const machine = 'src/machine.ts';
const access = 'src/release/access.ts';
const released = 'src/release/target.ts';
const copies = 'src/release/encrypted-copies.ts';
const release = 'src/release/release.ts';
const ours = 'src/plan/ours.ts';
const succession = 'src/plan/succession.ts';
const replacing = 'src/plan/replacing.ts';
const text = '"Stryker was here!"';
const list = '["Stryker was here"]';
const retention = 'src/plan/retention.ts';
const evidence = 'src/plan/evidence.ts';
const removal = 'src/plan/removal.ts';

export const harmless = [
  {
    why: 'looking again where it was looked before does nothing more',
    mutants: [
      [release, 'const ended = new', '[...later.dead].filter(([id]) => !leases.dead.has(id))', '[...later.dead]'],
      [release, 'if (ended.size', 'ended.size > 0', 'true'],
      [release, 'if (ended.size', 'ended.size > 0', 'ended.size >= 0'],
      [release, 'if (state.keepPending) await', 'state.keepPending', 'true'],
    ],
  },
  {
    why: 'a millisecond decides nothing',
    mutants: [
      [release, 'isToLook = leases', 'place.awsNow() < until', 'place.awsNow() <= until'],
      [release, 'now - lease.since', 'now - lease.since > longestJobMs', 'now - lease.since >= longestJobMs'],
    ],
  },
  {
    why: 'as long as copies go on, no lease is taken off at all',
    mutants: [[copies, 'return true;', 'true', 'false']],
  },
  {
    why: 'the groups of a description that fits are there together, and one that is not set is as good as absent',
    mutants: [
      [
        evidence,
        'if (snapshot !== undefined',
        'snapshot !== undefined && image !== undefined',
        'snapshot !== undefined || image !== undefined',
      ],
      [evidence, 'if (snapshot !== undefined', 'snapshot !== undefined', 'true'],
      [evidence, 'if (snapshot !== undefined', 'image !== undefined', 'true'],
      [evidence, 'return { by, snapshot', 'lineage !== undefined', 'true'],
    ],
  },
  {
    why: 'what AWS does not tell is neither a description, an ID nor a list of ours, whatever stands for it',
    mutants: [
      [evidence, 'export function originOf(', "''", text],
      [evidence, "const { SourceImageId = '' }", "''", text],
      [evidence, 'const claimed = tagValue(snapshot', "''", text],
      [evidence, 'const there = new Map(', '[]', list],
      [evidence, 'return (image.BlockDeviceMappings', '[]', list],
    ],
  },
  {
    why: 'what is no time is none, whatever its words; and a protection that is not told is not one that is enabled',
    mutants: [
      [retention, '{ LastLaunchedTime', "''", text],
      [retention, "const [id = ''", "''", text],
      [retention, "const [id = ''", '[]', list],
      [retention, 'function timeOf(', "''", text],
      [removal, 'export function isOwnProtection', "'disabled'", '""'],
      [retention, 'const isLifted =', "'disabled'", '""'],
    ],
  },
  {
    why: 'the fallback is for the types alone: AWS always tells IDs and lists, what is split has a first part, a snapshot that can be shared has a key, what is ours has an origin, and in the source account a name, what is left is not proven, only one of a lineage is held to it, a progress without a number is none, and a tag without a key was left out before',
    mutants: [
      [tags, 'dropped: inherited.', "''", text],
      [ours, '{ id =', "''", text],
      [targetTags, 'const sources =', "''", text],
      [ours, 'return new Map(images.', "''", text],
      [replacing, 'const id = image.', "''", text],
      [succession, 'export function lineageTieOf(', "''", text],
      [succession, 'return { id: image.', "''", text],
      [succession, 'return { id: image.', "tied.is === 'proven'", 'false'],
      [succession, 'return { id: image.', "'proven'", '""'],
      [retention, 'function idOf(', "''", text],
      [removal, 'const id = image.', "''", text],
      [removal, "...{ kind: 'deregister',", '{ uefiData: undefined }', '{}'],
      [machine, 'return processName(', "''", text],
      [lease, "const [id = '']", "''", text],
      [earlier, 'const extras = target.', "''", text],
      [earlier, "const { State, Progress = ''", "''", text],
      [earlier, 'originOf(copy)?.lineage', 'originOf(copy)?.lineage', 'originOf(copy).lineage'],
      [encryptedCopies, 'const keys = asIs.', '[]', list],
      [target, '? [...finished,', "''", text],
      [digest, 'const pieces = Object.', "''", text],
      [approved, 'reuses: !isMaking(', "''", text],
      [approved, 'deregisters: removed.', "''", text],
      [approved, '.filter(({ Key', "''", text],
      [approved, '.map(({ Key', "''", text],
      [approved, 'obstacle === undefined ? (key', '[]', list],
      [intermediates, '(a.SnapshotId ??', "''", text],
      [intermediates, 'return there?.images', 'image.Name?.startsWith', 'image.Name.startsWith'],
      [intermediates, 'originOf(copy)?.snapshot', 'originOf(copy)?.snapshot', 'originOf(copy).snapshot'],
      [supply, 'const awaited = told(', "''", text],
      [supply, 'const own = shared.', '[]', list],
      [supply, 'const keys = sourceKeys.', '[]', list],
      [supply, 'return instanceId ===', "''", text],
      [supply, 'const noReboot = request.', "request.image.by === 'instance'", 'true'],
    ],
  },
  {
    why: 'for the types alone: AWS always tells IDs, what is looked at was found by its lease, and what was replaced says by whom',
    mutants: [
      [released, 'const isFinished = (id', "''", text],
      [copies, '...found.images.flatMap(({ ImageId', '[]', list],
      [release, 'const revokeOwn =', '[]', list],
      [release, 'const keys = [', '[]', list],
      [release, 'await joined<[unknown', '[]', list],
      [release, 'const own = new Set(', '[]', list],
      [release, 'const images = found.flatMap', '[]', list],
      [release, 'return new Map(images.map', "''", text],
      [copies, 'gone([copy.ImageId', "''", text],
      [plan, 'return new Set(isMadeHere', '[]', list],
      [released, 'found.images.flatMap(({ ImageId', "''", text],
      [released, 'const copies = found.snapshots', "''", text],
      [released, "const { InstanceId = ''", "''", text],
      [released, 'if (isLaunchedBy(', "''", text],
      [released, 'const leaseOf =', "''", text],
      [released, 'const known = new Map(', "''", text],
      [released, "for (const { ImageId = ''", "''", text],
      [released, 'gone.has(replacedByOf(', "''", text],
      [released, 'gone.has(replacedByOf(', 'replacedByOf(one)?.lease', 'replacedByOf(one).lease'],
      [released, 'return ours.filter(', "''", text],
      [released, 'return by === undefined', "''", text],
      [released, 'return by === undefined', 'by === undefined', 'false'],
      [released, 'return ready ||', 'by !== undefined', 'true'],
      [released, 'const usersOfOne =', "''", text],
      [released, 'const kept = going.filter(', "''", text],
    ],
  },
  {
    why: 'a sweep is no run: whatever stands for its lease, nothing bears it',
    mutants: [[released, 'const state = { imageId,', "''", text]],
  },
  {
    why: 'the text that Stryker puts into the list has none of the fields that are read, and is passed over',
    mutants: [
      [image, 'const ids = (image.', '[]', list],
      [image, '(copy.BlockDeviceMappings', '[]', list],
      [image, 'for (const { DeviceName,', '[]', list],
      [image, 'return (image.', '[]', list],
      [image, 'const fields = [', '[]', list],
      [image, 'const actual = new', '[]', list],
      [image, 'const { SupportedInstanceTypes', '[]', list],
      [lease, 'return (tags ??', '[]', list],
      [lease, 'for (const { Key,', '[]', list],
      [targetTags, 'inherited: source.', '[]', list],
      [intermediates, 'const copy = oldestCopy(', '[]', list],
      [digest, 'const [, ...found]', '[]', list],
      [digest, 'const [, other]', '[]', list],
      [targetTags, 'const sources =', '[]', list],
      [route, 'const codes = [', '[]', list],
      [earlier, 'target.existing.', '[]', list],
      [encryptedCopies, 'const copied =', '[]', list],
      [retention, 'const named = counted.', '[]', list],
      [released, 'const ofLease =', '[]', list],
      [released, 'if (isDenied(error) ||', '[]', list],
      [released, 'const { free = []', '[]', list],
      [released, 'const going =', '[]', list],
    ],
  },
  {
    why: 'at the very limit either way holds what is saved',
    mutants: [
      [savedState, 'if (text.length', 'text.length <= plainCharacters', 'text.length < plainCharacters'],
      [savedState, 'if (count >', 'count > room', 'count >= room'],
      [
        savedState,
        'if (packedCharacters',
        'packedCharacters <= maxEntries * entryCharacters',
        'packedCharacters < maxEntries * entryCharacters',
      ],
    ],
  },
  {
    why: 'the file only shows whether one can be written there',
    mutants: [
      [savedState, "return fileProblem(files, ownName('undo-room')", "'undo-room'", '""'],
      [savedState, "return fileProblem(files, ownName('undo-room')", "''", text],
    ],
  },
  {
    why: 'a list of one target is as little worth a hub as an empty one',
    mutants: [[encryptedCopies, 'const worth = [', '[]', list]],
  },
  {
    why: 'what is there already has no `crossAccount`, so nothing is supplied for it either way; the types want it told',
    mutants: [
      [plan, 'const abroad = drafts.', 'drafts.filter(isMakingDraft)', 'drafts'],
      [plan, 'if (!isMakingDraft(draft))', '!isMakingDraft(draft)', 'false'],
      [planning, 'return draft.action ===', "draft.action === 'register' || draft.action === 'copy'", 'true'],
    ],
  },
  {
    why: 'the route depends on the AMI and on whether the account is another; these are all in other accounts',
    mutants: [
      [
        encryptedCopies,
        'const some = unshareable.',
        "targets.every(({ route }) => route === 'register')",
        "targets.some(({ route }) => route === 'register')",
      ],
    ],
  },
  {
    why: 'where the pattern of a lease fits, each of its words is there; where it does not, there is no lease',
    mutants: [
      [lease, 'function leaseOf({ Key, Value', "''", text],
      [lease, "const [, expires, since, runId = ''", "''", text],
      [lease, 'leasePattern.exec(Value)', '[]', list],
    ],
  },
  {
    why: 'only where there is no /proc, which is not where the tests run',
    mutants: [
      [machine, '} catch {', "{ return ''; }", '{}'],
      [machine, "return '';", "''", text],
      [machine, 'return { name, process:', "name === ''", 'false'],
      [machine, 'return { name, process:', "''", text],
    ],
  },
  {
    why: 'adding the name of the namespace makes a text of the bytes',
    mutants: [[machine, 'const boot = readFileSync(', "'utf8'", '""']],
  },
  {
    why: 'Linux shows a process in state X to nobody, by its own manual; the caller catches the error unread',
    mutants: [
      [machine, "if (state === 'Z'", "state === 'X'", 'false'],
      [machine, "if (state === 'Z'", "'X'", '""'],
      [machine, "if (state === 'Z'", "'the process has ended'", '""'],
    ],
  },
  {
    why: 'the type is the test: another value does not compile',
    mutants: [[image, 'const everyFieldIsClassified', 'true', 'false']],
  },
  {
    why: 'a dry run never succeeds',
    mutants: [[lease, 'return true;', 'true', 'false']],
  },
  {
    why: 'KMS has two words for a grant that is gone; the simulated one uses the other',
    mutants: [[access, "if (!hasCode(error, 'NotFoundException',", "'InvalidGrantIdException'", '""']],
  },
];
