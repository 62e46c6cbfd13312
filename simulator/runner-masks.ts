/** The runner's secret masker: what is added is replaced by `***` in everything logged afterwards. */
export type Masks = { add(value: string): void; apply(text: string): string };

/**
 * A value is masked in its encoded forms too (actions/runner, HostContext.cs registers these encoders). The two shifts
 * are the base64 of a longer text in which the value starts one or two bytes off a group of three.
 */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value, 'utf8');
  const base64 = [0, 1, 2].map((shift) => bytes.subarray(bytes.length > shift ? shift : 0).toString('base64'));
  const json = JSON.stringify(value).slice(1, -1);
  const xml = value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&apos;');
  return [value, ...base64, json, encodeURIComponent(value.toWellFormed()), xml];
}

export function createMasks(initial: readonly string[] = []): Masks {
  const forms = new Set<string>();
  const masks: Masks = {
    add(value) {
      for (const form of formsOf(value)) if (form !== '') forms.add(form);
    },
    apply(text) {
      const hits: [start: number, end: number][] = [];
      for (const form of forms) {
        for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1)) hits.push([at, at + form.length]);
      }
      if (hits.length === 0) return text;
      hits.sort(([a], [b]) => a - b);
      let masked = '';
      let done = -1;
      for (const [start, end] of hits) {
        // What touches or overlaps becomes one `***`.
        if (start > done) masked += `${text.slice(Math.max(done, 0), start)}***`;
        done = Math.max(done, end);
      }
      return masked + text.slice(done);
    },
  };
  for (const value of initial) masks.add(value);
  return masks;
}
