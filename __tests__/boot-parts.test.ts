import type { Image, InstanceTypeInfo } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import { InputError, type InputName, inputDefaults } from '../src/inputs/reader.ts';
import { readInputs } from '../src/inputs.ts';
import { endVerdict, refusalVerdict } from '../src/operations/boot-verdict.ts';
import { lastLines, withoutSecrets } from '../src/operations/console.ts';
import { launchesOf, misfit } from '../src/plan/boot.ts';

/* The parts of a boot test that only decide: inputs, instance types, what AWS's words say of the AMI, what a console shows. */

const run = {
  ...{ runUrl: '', runId: '4711', runAttempt: 1, sha: 'a'.repeat(40), defaultRegion: undefined },
  date: new Date('2026-11-26T12:00:00Z'),
};
const others: Partial<Record<InputName, string>> = {
  ...{ 'ami-id': 'ami-0a1b2c3d', 'source-region': 'us-east-1', 'target-accounts': '999999999999' },
  ...{ 'target-regions': 'eu-west-1', 'target-kms-key': 'alias/cmkTarget' },
};
const read = (inputs: Partial<Record<InputName, string>>) =>
  readInputs((name) => ({ ...others, ...inputs })[name as InputName] ?? '', run).publication.boot;

describe('the inputs', () => {
  test('are off by default, and templates where they may be', () => {
    expect(read({})).toBeUndefined();
    expect(inputDefaults['boot-test']).toBe('off');
    const inputs = {
      ...{ 'boot-test': 'ssm', 'boot-subnet': 'tag:Name=a, b', 'boot-security-group': 'sg-0a0a0a0a,sg-0b0b0b0b' },
      ...{ 'boot-instance-profile': 'boot-{region}', 'boot-instance-type': 't3.small', 'boot-required': 'false' },
    };
    expect(read(inputs)).toEqual({
      ...{ test: 'ssm', subnets: ['tag:Name=a, b'], securityGroups: ['sg-0a0a0a0a', 'sg-0b0b0b0b'] },
      ...{ instanceProfile: 'boot-{region}', instanceType: 't3.small', timeoutMinutes: 10, required: false },
    });
  });

  test.each<[InputName, string, RegExp]>([
    ['boot-test', 'on', /expected off, status or ssm/],
    ['boot-test', 'ssm', /boot-subnet: not set — is needed with boot-test: ssm/],
    ['boot-instance-type', 'small', /expected an instance type/],
    ['boot-subnet', 'eu-west-1a', /expected the ID of a subnet \(subnet-…\), or tag:Key=Value/],
    ['boot-subnet', 'tag:Name', /expected the ID of a subnet/],
    ['boot-security-group', 'default', /expected the ID of a security group/],
    ['boot-instance-profile', 'arn:aws:iam::999999999999:role/boot', /expected the name or the ARN of an instance/],
    ['boot-instance-profile', 'boot-{acount}', /\{acount\} is not a placeholder/],
    ['boot-timeout-minutes', '0', /expected a whole number from 1 to 240/],
    ['boot-required', 'yes', /expected true or false/],
  ])('%s: %s is none', (name, value, words) => {
    expect(() => read({ [name]: value })).toThrow(InputError);
    expect(() => read({ [name]: value })).toThrow(words);
  });
});

const ami: Image = { Architecture: 'x86_64', VirtualizationType: 'hvm', EnaSupport: true };

function type(InstanceType: string, memoryMiB: number, over: Partial<InstanceTypeInfo> = {}): InstanceTypeInfo {
  return {
    InstanceType: InstanceType as never,
    ...{ CurrentGeneration: true, BareMetal: false, Hypervisor: 'nitro', SupportedVirtualizationTypes: ['hvm'] },
    ProcessorInfo: { SupportedArchitectures: ['x86_64'] },
    VCpuInfo: { DefaultVCpus: 2 },
    MemoryInfo: { SizeInMiB: memoryMiB },
    NetworkInfo: { EnaSupport: 'required' },
    ...{
      SupportedBootModes: ['legacy-bios', 'uefi'],
      NitroTpmSupport: 'supported',
      BurstablePerformanceSupported: true,
    },
    ...over,
  };
}

describe('the instance type', () => {
  const subnets = ['a', 'b'].map((zone) => ({ subnet: `subnet-${zone}`, zone, givesIpv6: false, groups: [] }));
  const room = { zonesOf: () => new Set(['a', 'b']), subnets };
  const chosen = (
    image: Image,
    types: readonly InstanceTypeInfo[],
    zonesOf: (one: string) => Set<string> = room.zonesOf,
  ) => launchesOf(image, types, { zonesOf, subnets }).map((size) => size.map((one) => `${one.type}/${one.zone}`));

  test('is the smallest with 2 GiB, Windows 4, then one size up; cheap ones first', () => {
    const all = [
      ...[type('t3.large', 8192), type('t3.medium', 4096), type('t3.micro', 1024), type('t3.small', 2048)],
      type('t2.small', 2048, { Hypervisor: 'xen', NetworkInfo: { EnaSupport: 'unsupported' } }),
      type('c9.medium', 2048, { BurstablePerformanceSupported: false }),
      type('g9.tiny', 2048, { GpuInfo: { TotalGpuMemoryInMiB: 1 } }),
      type('m1.small', 2048, { CurrentGeneration: false }),
    ];
    const small = ['t3.small/a', 't3.small/b', 'c9.medium/a', 'c9.medium/b', 't2.small/a', 't2.small/b'];
    expect(chosen(ami, all)).toEqual([small, ['t3.medium/a', 't3.medium/b']]);
    const windows = { ...ami, PlatformDetails: 'Windows with SQL Server' };
    expect(chosen(windows, all).map(([first]) => first)).toEqual(['t3.medium/a', 't3.large/a']);
    expect(chosen({ ...ami, EnaSupport: false }, all)).toEqual([['t2.small/a', 't2.small/b']]);
  });

  test('is one that a zone has, or the one that is named, whatever its size', () => {
    const zonesOf = (one: string) => new Set(one === 't3.small' ? ['b'] : ['c']);
    expect(chosen(ami, [type('t3.small', 2048), type('t3.medium', 4096)], zonesOf)).toEqual([['t3.small/b']]);
    expect(chosen(ami, [type('t3.nano', 512)])).toEqual([['t3.nano/a', 't3.nano/b']]);
  });

  test.each<[string, Partial<Image>, Partial<InstanceTypeInfo>]>([
    ['its architecture', { Architecture: 'arm64' }, {}],
    ['its virtualization', { VirtualizationType: 'paravirtual' }, {}],
    ['ENA', { EnaSupport: false }, {}],
    ['UEFI', { BootMode: 'uefi' }, { SupportedBootModes: ['legacy-bios'] }],
    ['BIOS', { BootMode: 'legacy-bios' }, { SupportedBootModes: ['uefi'] }],
    ['a TPM', { TpmSupport: 'v2.0' }, { NitroTpmSupport: 'unsupported' }],
    ['its own list', { InstanceTypeSpecification: { SupportedInstanceTypes: [{ InstanceType: 'm7i.*' }] } }, {}],
    ['what it excludes', { InstanceTypeSpecification: { UnsupportedInstanceTypes: [{ InstanceType: 't*' }] } }, {}],
  ])('fits the AMI: %s', (_, image, info) => {
    expect(misfit(ami, type('t3.small', 2048))).toBeUndefined();
    expect(misfit({ ...ami, ...image }, type('t3.small', 2048, info))).toEqual(expect.any(String));
  });

  test('may boot either way where the AMI prefers UEFI', () => {
    expect(
      misfit({ ...ami, BootMode: 'uefi-preferred' }, type('t2.small', 2048, { SupportedBootModes: ['legacy-bios'] })),
    ).toBeUndefined();
  });
});

const refusal = (Code: string, message = Code) => Object.assign(new Error(message), { Code });

describe('AWS’s words', () => {
  test.each([
    ['InsufficientInstanceCapacity', 'elsewhere'],
    ['InsufficientFreeAddressesInSubnet', 'elsewhere'],
    ['Unsupported', 'elsewhere'],
    ['UnsupportedOperation', 'elsewhere'],
    ['VcpuLimitExceeded', 'elsewhere'],
    ['Server.InsufficientInstanceCapacity', 'elsewhere'],
    ['PendingVerification', 'never'],
    ['OptInRequired', 'never'],
    ['UnauthorizedOperation', 'never'],
    ['InvalidParameterValue', 'never'],
    ['InvalidAMIID.NotFound', 'failed'],
    ['InvalidSnapshot.NotFound', 'failed'],
    ['InvalidKMSKey.InvalidState', 'failed'],
    ['Client.InvalidKMSKey.InvalidState', 'failed'],
  ])('of a refusal by %s: %s', (code, is) => {
    expect(refusalVerdict(refusal(code))).toMatchObject({ is });
  });

  test('of a type that the account may not launch: another may do', () => {
    const words = 'The specified instance type is not eligible for Free Tier.';
    expect(refusalVerdict(refusal('InvalidParameterCombination', words))).toMatchObject({ is: 'elsewhere' });
  });

  test('of a denial of a call to KMS: that is the role, not the AMI', () => {
    expect(
      refusalVerdict(refusal('UnauthorizedOperation', 'not authorized to perform: kms:CreateGrant')),
    ).toMatchObject({
      is: 'never',
    });
  });

  test.each([
    [{ Code: 'Client.InternalError', Message: 'Client.InternalError: Client error on launch' }, '', 'failed', true],
    [{ Code: 'Server.InternalError' }, 'Client.InvalidKMSKey.InvalidState: in an incorrect state', 'failed', true],
    [{ Code: 'Client.InstanceInitiatedShutdown' }, '', 'failed', false],
    [{ Code: 'Client.InvalidSnapshot.NotFound' }, '', 'failed', false],
    [{ Code: 'Server.InsufficientInstanceCapacity' }, '', 'elsewhere', undefined],
    [{ Code: 'Server.InternalError' }, '', 'elsewhere', undefined],
    [{ Code: 'Client.VolumeLimitExceeded' }, '', 'elsewhere', undefined],
    [{ Code: 'Client.UserInitiatedShutdown' }, 'User initiated (2026-11-26 12:00:00 GMT)', 'elsewhere', undefined],
    [undefined, '', 'failed', false],
  ])('of an end with %j and %j', (...[StateReason, StateTransitionReason, is, byKey]) => {
    const verdict = endVerdict({ StateTransitionReason, ...(StateReason && { StateReason }) });
    expect(verdict).toMatchObject({ is, ...(byKey !== undefined && { byKey }) });
  });
});

describe('of a console', () => {
  test.each([
    ['password: hunter2', 'password: ***'],
    ['DB_PASSWORD=hunter2 started', 'DB_PASSWORD=*** started'],
    ['{"apiKey": "abc def"}', '{"apiKey": ***}'],
    ['Authorization: Bearer abc.def', 'Authorization: Bearer ***'],
    ['https://user:hunter2@host/path', 'https://user:***@host/path'],
    ['token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc', 'token ***'],
    ['key AKIAIOSFODNN7EXAMPLE', 'key ***'],
    ['ghp_0123456789abcdefghij', '***'],
    ['<Password>c2VjcmV0</Password>', '<Password>***</Password>'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----', '***'],
    ['-----BEGIN PRIVATE KEY-----\nMIIE', '***'],
    [`hash ${'a1'.repeat(20)} done`, 'hash *** done'],
    // As Bitnami, MySQL, cloud-init, k3s and Slack write them.
    ["# Setting Bitnami application password to 'tR4nd0mPw'  #", '# Setting Bitnami application password to ***  #'],
    [
      'A temporary password is generated for root@localhost: q!8sKd,x>aB',
      'A temporary password is generated for root@localhost: ***',
    ],
    ['Your root password is: s3cr3t', 'Your root password is: ***'],
    ['The admin password has been set to hunter22', 'The admin password has been set to ***'],
    ['initial admin secret 2f8c1b7a', 'initial admin secret ***'],
    ['cloud-init[812]: deploy:R4ndomPassw0rd', 'cloud-init[812]: deploy:***'],
    ['K10ab::server:abcdef0123456789', 'K10ab::server:***'],
    ['https://hooks.slack.com/services/T0/B0/XXXX', 'https://hooks.slack.com/services/***'],
    ['https://a.blob.example/x?sv=2020&sig=abc%2B&se=1', 'https://a.blob.example/x?sv=2020&sig=***&se=1'],
    ['+ mysql -uroot -pS3cretPw db', '+ mysql -uroot -p*** db'],
    ['+ sshpass -p hunter ssh host', '+ sshpass -p *** ssh host'],
    ['+ echo root:secret | sudo chpasswd', '+ echo *** | sudo chpasswd'],
  ])('%j is told as %j', (text, told) => {
    expect(withoutSecrets(text)).toBe(told);
  });

  test('what says what went wrong stays as it is', () => {
    const lines = [
      '[    1.234567] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
      'EXT4-fs (nvme0n1p1): mounted filesystem 8f3b2c1a-1234-4abc-8def-0123456789ab',
      'Failed to start /usr/lib/systemd/system/cloud-init-local.service.',
      'login: ',
      'Failed password for root from 10.0.0.1 port 22 ssh2',
      'error: cannot get token from 169.254.169.254:80 (timeout 5s)',
      'cryptsetup: ERROR: luks: cryptsetup failed, bad password or options?',
      'mkdir -p /var/log/app1',
      '[    2.1] nvme nvme0: pci function 0000:00:04.0',
    ];
    expect(withoutSecrets(lines.join('\n'))).toBe(lines.join('\n'));
  });

  test('the last lines are told, without what a terminal makes of them', () => {
    const all = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    expect(lastLines(all.join('\r\n'))).toEqual(all.slice(-20));
    expect(lastLines('\u001b[0;31mred\u001b[0m\u0007\n\n\u202Etxt\n')).toEqual(['red', 'txt']);
    expect(lastLines('x'.repeat(500))).toEqual([`${'x'.repeat(200)}…`]);
    expect(lastLines('')).toEqual([]);
    const key = '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nafter';
    expect(lastLines(key)).toEqual(['***', 'after']);
    expect(lastLines('pass\u001b[1mword=hunter2')).toEqual(['password=***']);
    const began = Date.now();
    lastLines('a.-'.repeat(100_000));
    expect(Date.now() - began).toBeLessThan(2000);
  });
});
