// Prints the section of CHANGELOG.md that a version has: the release's notes. Fails unless there is exactly one, with its
// date, and it says something.
// Usage: node scripts/changelog.mjs 1.0.0
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What stands below the heading of a version, or of `Unreleased`. */
export function sectionOf(changelog, version) {
  const sections = changelog
    .split(/^(?=## )/m)
    .map((section) => /^## +(.*?) *\r?\n([\s\S]*)$/.exec(`${section}\n`))
    .flatMap((found) => (found === null ? [] : [{ heading: found[1], body: found[2] }]))
    .filter(({ heading }) => heading.startsWith(`[${version}]`));
  const [section, another] = sections;
  if (section === undefined) throw new Error(`CHANGELOG.md has no section [${version}]`);
  if (another !== undefined) throw new Error(`CHANGELOG.md has ${sections.length} sections [${version}]`);
  const isDated = /^\[[^\]]+\] - \d{4}-\d{2}-\d{2}$/.test(section.heading);
  if (version !== 'Unreleased' && !isDated)
    throw new Error(`CHANGELOG.md: '${section.heading}' should be '[${version}] - YYYY-MM-DD'`);
  // The targets of links stand at the end of the file, whichever section that is.
  const body = section.body.replaceAll(/^\[[^\]]+\]: \S+$/gm, '').trim();
  if (body.replaceAll(/^#.*$/gm, '').trim() === '') throw new Error(`CHANGELOG.md: [${version}] is empty`);
  return body;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , version] = process.argv;
  try {
    if (!/^\d+\.\d+\.\d+$/.test(version ?? '')) throw new Error('Usage: node scripts/changelog.mjs 1.0.0');
    console.log(sectionOf(readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8'), version));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
