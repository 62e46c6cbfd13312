import { describe, expect, test } from '@jest/globals';
import {
  golden,
  kindsOf,
  planOne,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetIn,
  targetRegion,
} from './given.ts';

const marketplace = { ProductCodes: [{ ProductCodeId: 'abc123', ProductCodeType: 'marketplace' as const }] };
const redHat = { UsageOperation: 'RunInstances:0010', PlatformDetails: 'Red Hat Enterprise Linux' };
const paravirtual = { VirtualizationType: 'paravirtual' as const };

const watermarked = { ImageWatermarks: [{ WatermarkKey: 'mark-1' }] };

const inSourceAccount = targetIn(sourceAccount, targetRegion);

describe('route auto', () => {
  test.each([
    ['registers an image without billing codes', {}, 'register'],
    [
      'takes an image that tells no usage operation for one without billing codes',
      { UsageOperation: undefined },
      'register',
    ],
    ['copies an image whose usage operation is billed', redHat, 'copy'],
    [
      'copies a Windows image of which AWS tells the platform only',
      { Platform: 'windows', UsageOperation: undefined },
      'copy',
    ],
    ['copies an image with product codes', { ProductCodes: [{ ProductCodeId: 'abc123' }] }, 'copy'],
    ['registers an image whose list of product codes is empty', { ProductCodes: [] }, 'register'],
    ['copies a paravirtual image, whose kernel is of one region', paravirtual, 'copy'],
    ['copies an image with watermarks, which CopyImage alone carries over', watermarked, 'copy'],
    ['registers an image whose list of watermarks is empty', { ImageWatermarks: [] }, 'register'],
    ['registers a UEFI image for another account', { BootMode: 'uefi' as const, OwnerId: '555555555555' }, 'register'],
  ])('%s', (_, image, route) => {
    // `undefined` stands for an attribute that AWS doesn't tell.
    const { UsageOperation, ...others } = golden();
    const facts =
      'UsageOperation' in image && image.UsageOperation === undefined ? others : { ...others, UsageOperation };
    expect(planOne({ image: { ...facts, ...image } as object }).route).toBe(route);
  });

  test("copies another owner's UEFI image within the source account, since only the owner may read its variables", () => {
    const routeOf = (image: object) => planOne({ image, target: inSourceAccount }).route;
    expect(routeOf({ BootMode: 'uefi', OwnerId: '555555555555' })).toBe('copy');
    expect(routeOf({ BootMode: 'uefi', OwnerId: sourceAccount })).toBe('register');
    expect(routeOf({ BootMode: 'legacy-bios', OwnerId: '555555555555' })).toBe('register');
  });
});

test.each(['register', 'copy'])('route %s is taken where it is asked for', (route) => {
  expect(planOne({ inputs: { route } }).route).toBe(route);
  // One that has no kernel loses none.
  expect(planOne({ inputs: { route }, image: paravirtual })).toMatchObject({ route, problems: [] });
});

describe('what is certain to fail', () => {
  const where = `${targetAccount}/${targetRegion}`;

  test('registering an image that would lose its billing, unless that is meant', () => {
    const image = { ...redHat, ProductCodes: [{ ProductCodeId: 'abc123' }] };
    expect(planOne({ inputs: { route: 'register' }, image }).problems).toEqual([
      {
        where,
        what: 'route register would lose the billing of ami-601d (Red Hat Enterprise Linux: RunInstances:0010, abc123)',
        remedy: 'use route copy, or set allow-lost-billing to true if that is meant',
      },
    ]);
    expect(planOne({ inputs: { route: 'register', 'allow-lost-billing': 'true' }, image }).problems).toEqual([]);
    expect(planOne({ inputs: { route: 'register' } }).problems).toEqual([]);
    expect(planOne({ inputs: { route: 'copy' }, image }).problems).toEqual([]);
  });

  test.each([
    ['the kernel and RAM disk', { ...paravirtual, KernelId: 'aki-5c21674b' }, {}],
    ['the kernel and RAM disk', { ...paravirtual, RamdiskId: 'ari-5c21674b' }, {}],
    ['the UEFI variables', { BootMode: 'uefi-preferred' as const, OwnerId: '555555555555' }, inSourceAccount],
    ['the watermarks', watermarked, {}],
  ])('registering an image that would lose %s', (lost, image, target) => {
    expect(planOne({ inputs: { route: 'register' }, image, target }).problems).toEqual([
      {
        where: expect.any(String),
        what: `route register would lose ${lost} of ami-601d`,
        remedy: 'use route copy or auto',
      },
    ]);
    for (const route of ['copy', 'auto']) expect(planOne({ inputs: { route }, image, target }).problems).toEqual([]);
  });

  test('the billing that is lost is named as far as AWS tells it', () => {
    const { PlatformDetails: _, UsageOperation: __, ...bare } = golden();
    const codesOf = (image: object) =>
      /\((.*)\)/.exec(
        planOne({ inputs: { route: 'register' }, source: { image: { ...bare, ...image } } }).problems[0]?.what ?? '',
      )?.[1];
    expect(codesOf({ ProductCodes: [{ ProductCodeId: 'abc123' }] })).toBe('its platform: abc123');
    expect(codesOf({ UsageOperation: 'RunInstances:0002' })).toBe('its platform: RunInstances:0002');
    expect(codesOf({ Platform: 'windows' })).toBe('windows: Windows');
  });

  test('copying AWS Marketplace product codes to another account', () => {
    expect(planOne({ image: marketplace }).problems).toEqual([
      {
        where,
        what: 'ami-601d has AWS Marketplace product codes: AWS copies no such image to another account',
        remedy:
          'subscribe to the product in the target account, launch an instance of it there, and make the AMI of that instance',
      },
    ]);
    expect(planOne({ image: marketplace, target: inSourceAccount }).problems).toEqual([]);
    const others = { ...marketplace, OwnerId: '555555555555' };
    expect(planOne({ image: others, target: inSourceAccount }).problems).toHaveLength(1);
    const devpay = { ProductCodes: [{ ProductCodeId: 'abc123', ProductCodeType: 'devpay' as const }] };
    expect(planOne({ image: devpay }).problems).toEqual([]);
    const both = { ProductCodes: [...devpay.ProductCodes, ...marketplace.ProductCodes] };
    expect(planOne({ image: both }).problems).toHaveLength(1);
  });

  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/virtualization_types.html
  test.each([
    'us-east-1',
    'us-west-1',
    'us-west-2',
    'eu-west-1',
    'eu-central-1',
    'ap-northeast-1',
    'ap-southeast-1',
    'ap-southeast-2',
    'sa-east-1',
    'us-gov-west-1',
    'cn-north-1',
  ])('a paravirtual image is taken to %s, which has such instances', (region) => {
    expect(planOne({ image: paravirtual, target: targetIn(targetAccount, region) }).problems).toEqual([]);
  });

  test('a paravirtual image in a region that has none', () => {
    const target = targetIn(targetAccount, 'eu-west-3');
    expect(planOne({ image: paravirtual, target }).problems).toEqual([
      {
        where: `${targetAccount}/eu-west-3`,
        what: "ami-601d is paravirtual, which eu-west-3 doesn't have",
        remedy: 'use an HVM image, or leave this region out',
      },
    ]);
    expect(planOne({ target }).problems).toEqual([]);
  });
});

test('within the source account the AMI is copied as it is: no encrypted copy, no share, no grant', () => {
  for (const region of [sourceRegion, targetRegion]) {
    const { crossAccount, from, sourceKeys, plan } = planOne({ target: targetIn(sourceAccount, region) });
    expect({ crossAccount, from, sourceKeys, copies: plan.encryptedCopies }).toEqual({
      crossAccount: false,
      from: undefined,
      sourceKeys: [],
      copies: [],
    });
    const kinds = new Set(kindsOf(plan));
    for (const kind of ['encrypt', 'await', 'allow', 'access', 'share'] as const) expect(kinds).not.toContain(kind);
  }
});
