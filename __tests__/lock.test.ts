import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

/*
 * What `npm ci` installs is what was locked, byte for byte, and little of it, and no supported Node has a warning. (The
 * Node that the package `node` fetches is locked by its version alone.)
 */

type Entry = Readonly<{
  version?: string;
  resolved?: string;
  integrity?: string;
  link?: boolean;
  hasInstallScript?: boolean;
  optionalDependencies?: Readonly<Record<string, string>>;
  engines?: Readonly<{ node?: string }>;
  os?: readonly string[];
  cpu?: readonly string[];
  libc?: readonly string[];
}>;

const root = join(import.meta.dirname, '..');
const read = (...path: string[]): unknown => JSON.parse(readFileSync(join(root, ...path), 'utf8'));
const folders = ['.', ...readdirSync(root)].filter((folder) => existsSync(join(root, folder, 'package-lock.json')));

/** A lock's entries but for the folder itself, by their paths. */
function packagesOf(folder: string): [string, Entry][] {
  const { packages } = read(folder, 'package-lock.json') as { packages: Readonly<Record<string, Entry>> };
  return Object.entries(packages).filter(([path, { link }]) => path !== '' && link !== true);
}

/** Whether npm installs it where the action runs. */
function isForLinux({ os, cpu, libc }: Entry): boolean {
  const fits = (wanted: readonly string[] | undefined, value: string) => wanted?.includes(value) ?? true;
  return fits(os, 'linux') && fits(cpu, 'x64') && fits(libc, 'glibc');
}

/** -1, 0 or 1: how a version stands to another, of which only the parts that are given count. */
function compare(version: readonly number[], other: readonly number[]): number {
  const at = other.findIndex((part, index) => part !== version[index]);
  return at === -1 ? 0 : Math.sign((version[at] ?? 0) - (other[at] ?? 0));
}

/** Whether a range of `engines` allows a version. @throws Error where it has what no package's has had yet */
function allows(range: string, version: string): boolean {
  const parts = version.split('.').map(Number);
  return range.split('||').some((all) =>
    all
      .replaceAll(/([<>=^~]) +/g, '$1')
      .trim()
      .split(/ +/)
      .every((one) => {
        if (one === '*') return true;
        const [, sign = '', wanted = ''] = /^(>=|<=|>|<|=|\^|~)?v?(\d+(?:\.\d+){0,2})(?:\.[x*]){0,2}$/.exec(one) ?? [];
        if (wanted === '') throw new Error(`what is ${one} in ${range}?`);
        const other = wanted.split('.').map(Number);
        const order = compare(parts, other);
        if (sign === '>=') return order >= 0;
        if (sign === '<=') return order <= 0;
        if (sign === '>') return order > 0;
        if (sign === '<') return order < 0;
        if (sign === '^') return order >= 0 && parts[0] === other[0];
        if (sign === '~') return order >= 0 && compare(parts, other.slice(0, 2)) === 0;
        return order === 0;
      }),
  );
}

test('the locks are those of the root and of what has packages of its own', () => {
  expect(folders).toEqual(['.', 'mutants', 'pictures']);
});

describe.each(folders)('the lock of %s', (folder) => {
  const packages = packagesOf(folder);

  test('has the integrity of every package', () => {
    expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
  });

  test('names no registry but the public one', () => {
    const hosts = packages.flatMap(([, { resolved }]) => (resolved === undefined ? [] : new URL(resolved).origin));
    expect(hosts.filter((host) => host !== 'https://registry.npmjs.org')).toEqual([]);
  });

  test('has the packages of every platform: node scripts/complete-lock.mjs', () => {
    const paths = packages.map(([path]) => path);
    const names = packages.flatMap(([, { optionalDependencies }]) => Object.keys(optionalDependencies ?? {}));
    expect(names.filter((name) => !paths.some((path) => path.endsWith(`node_modules/${name}`)))).toEqual([]);
  });

  test('has no install script that package.json is silent about', () => {
    const { allowScripts = {} } = read(folder, 'package.json') as { allowScripts?: Record<string, boolean> };
    const scripts = packages.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    expect(
      scripts.map(([path]) => path.replace(/^.*node_modules\//, '')).filter((name) => !(name in allowScripts)),
    ).toEqual([]);
  });
});

describe('what npm ci installs at the root', () => {
  const installed = packagesOf('.').filter(([, entry]) => isForLinux(entry));

  test('is no more than 400 packages', () => {
    expect(installed.length).toBeGreaterThan(100);
    expect(installed.length).toBeLessThanOrEqual(400);
  });

  test.each(['20.19.0', '22.13.0', '24.0.0'])('has nothing that Node %s is too old for', (node) => {
    const { engines } = read('package.json') as { engines: { node: string } };
    expect(allows(engines.node, node)).toBe(true);
    const refusing = installed.filter(([, one]) => one.engines?.node && !allows(one.engines.node, node));
    expect(refusing.map(([path, one]) => `${path} wants ${one.engines?.node}`)).toEqual([]);
  });

  test.each([
    ['>=22', false, true],
    ['>= 20', true, true],
    ['^22.18.0 || >=24.11.0', false, false],
    ['^20.19.0 || ^22.13.0 || >=23.5.0', true, true],
    ['18 || 20 || >=22', true, true],
    ['6.* || 8.* || >= 10.*', true, true],
    ['>=16 <22', true, false],
    ['>20.19 || 19.x', false, true],
    ['~20.19.0 || =22.13.0', true, true],
    ['>=v12.22.7', true, true],
    ['*', true, true],
  ])('%s is told from others', (range, twenty, twentyTwo) => {
    expect([allows(range, '20.19.0'), allows(range, '22.13.0')]).toEqual([twenty, twentyTwo]);
  });

  test('a range that cannot be read is not passed over', () => {
    expect(() => allows('node 20', '20.19.0')).toThrow('what is node');
  });
});
