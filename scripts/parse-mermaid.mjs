// Reads a JSON list of Mermaid texts from stdin, and prints what mermaid itself has against each: null, or its words.
import { JSDOM } from 'jsdom';

// Mermaid looks for a browser as it is loaded.
const { window } = new JSDOM('');
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import('mermaid');
const texts = JSON.parse(await new Response(process.stdin).text());
const found = [];
for (const text of texts) {
  found.push(
    await mermaid.parse(text).then(
      () => null,
      (error) => String(error.message),
    ),
  );
}
process.stdout.write(JSON.stringify(found));
