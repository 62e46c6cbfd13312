// A summary as GitHub renders it. Marked does what the page on GitHub's own flavour of Markdown says, written-out links
// among it: https://github.github.com/gfm/
import { JSDOM } from 'jsdom';
import { Marked } from 'marked';

const marked = new Marked({ gfm: true });

/** The names of the page's elements but for code, all of its text, and what of the text is in no code; without diagrams. */
export function rendered(summary) {
  const { document } = new JSDOM(marked.parse(summary, { async: false })).window;
  for (const diagram of document.querySelectorAll('pre')) diagram.remove();
  const elements = [...document.body.querySelectorAll('*')].map(({ localName }) => localName);
  const text = document.body.textContent;
  for (const code of document.querySelectorAll('code')) code.remove();
  return { elements: elements.filter((name) => name !== 'code').join(' '), text, prose: document.body.textContent };
}
