import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { sectionOf } from '../scripts/changelog.mjs';

/* A release's notes are its section of the changelog, so there is one, and it says something. */

const text = `# Changelog

The form is that of Keep a Changelog.

## [Unreleased]

## [1.10.0] - 2027-02-01

### Added

- Two things.

### Fixed

- A third.

## [1.1.0] - 2027-01-01

- The first.

[1.1.0]: https://example.com/1.1.0
`;

describe('the section of a version', () => {
  test('is what stands below its heading', () => {
    expect(sectionOf(text, '1.10.0')).toBe('### Added\n\n- Two things.\n\n### Fixed\n\n- A third.');
  });

  test('has nothing of the links that end the file', () => {
    expect(sectionOf(text, '1.1.0')).toBe('- The first.');
  });

  test('may be that of what is not released', () => {
    expect(sectionOf(text.replace('[Unreleased]\n', '[Unreleased]\n\n- Soon.\n'), 'Unreleased')).toBe('- Soon.');
  });

  test('is found in a file with carriage returns, too', () => {
    expect(sectionOf(text.replaceAll('\n', '\r\n'), '1.1.0')).toBe('- The first.');
  });
});

describe('no notes without', () => {
  const first = '## [1.1.0] - 2027-01-01';
  test.each([
    ['a section', text, '1.0.0', 'no section [1.0.0]'],
    ['its very version', text, '1.1', 'no section [1.1]'],
    ['one alone', `${text}\n${first}\n\n- Again.\n`, '1.1.0', '2 sections [1.1.0]'],
    ['an entry', text, 'Unreleased', '[Unreleased] is empty'],
    ['an entry below its headings', text.replace('- The first.', '### Added'), '1.1.0', '[1.1.0] is empty'],
    ['an entry, in the last line', first, '1.1.0', '[1.1.0] is empty'],
    ['a date', text.replace(first, '## [1.1.0]'), '1.1.0', "should be '[1.1.0] - YYYY-MM-DD'"],
    ['a heading of a section', text.replace(first, `#${first}`), '1.1.0', 'no section [1.1.0]'],
  ])('%s', (_, changelog, version, message) => {
    expect(() => sectionOf(changelog, version)).toThrow(message);
  });
});

test('CHANGELOG.md has the version of package.json, or what is to become it', () => {
  const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const changelog = read('CHANGELOG.md');
  const released = changelog.includes(`\n## [${version}]`);
  expect(sectionOf(changelog, released ? version : 'Unreleased')).not.toBe('');
  const versions = [...changelog.matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading);
  for (const heading of versions) expect(heading).toMatch(/^\[(Unreleased|\d+\.\d+\.\d+)\]/);
  expect(new Set(versions).size).toBe(versions.length);
});
