// Mermaid's own parser, as strict as GitHub has it.
import { JSDOM } from 'jsdom';

// Mermaid looks for a browser as it is loaded.
const { window } = new JSDOM('');
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import('mermaid');

// What mermaid draws unless it is told otherwise; what is longer it replaces by a message as it draws, which is after this.
const longest = 50_000;
mermaid.initialize({ securityLevel: 'strict', maxTextSize: longest, maxEdges: 500, startOnLoad: false });

/** What mermaid has against the text of a diagram, or null. */
export async function complaint(text) {
  if (text.length > longest) return `${text.length} characters, of which mermaid draws ${longest}`;
  return mermaid.parse(text).then(
    () => null,
    (error) => String(error.message),
  );
}

/** The labels of a flowchart as mermaid reads them, without its breaks of lines, by the node that each is of. */
export async function labelsOf(text) {
  const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
  return new Map(
    [...db.getVertices()].map(([id, vertex]) => [id, (vertex.text ?? '').split(/<br ?\/?>/).map(decoded)]),
  );
}

/** Mermaid keeps `#35;` in a form that its grammars take, until it draws. */
function decoded(text) {
  return text.replace(/ﬂ°°(\d+)¶ß/g, (_, number) => String.fromCodePoint(Number(number)));
}
