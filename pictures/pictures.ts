// npm run pictures: what GitHub shows of a run, as pictures in docs/. The built action runs on the simulator; its job
// summaries are put into HTML as GitHub does it, with GitHub's stylesheet and mermaid, and Debian's Chromium takes the
// pictures. Nothing leaves this machine.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Marked } from 'marked';
import { type Case, fanOut, standardCase } from '../simulator/scenarios/standard.ts';
import { summaryOf } from './summary.ts';

type Picture = Readonly<{
  name: string;
  case: Case;
  inputs?: Readonly<Record<string, string>>;
  /** So much of the page from its top, in pixels; all of it unless named. */
  height?: number;
}>;

const volumes = [
  { device: '/dev/xvda', sizeGiB: 20 },
  { device: '/dev/sdf', sizeGiB: 100 },
];
const ami = { name: 'golden-image-2026-11-23' };

const regions = [
  ...['us-east-2', 'us-west-1', 'us-west-2', 'ca-central-1', 'ca-west-1', 'sa-east-1', 'mx-central-1'],
  ...['eu-west-1', 'eu-west-2', 'eu-west-3', 'eu-central-1', 'eu-central-2', 'eu-north-1', 'eu-south-1'],
  ...['ap-south-1', 'ap-northeast-1', 'ap-northeast-2', 'ap-northeast-3', 'ap-southeast-1', 'ap-southeast-2'],
];

const pictures: readonly Picture[] = [
  // A copy of an hour is played in seconds.
  { name: 'summary-1', case: standardCase({ ami, volumes, timings: { baseSeconds: 8, secondsPerGiB: 0.2 } }) },
  {
    name: 'summary-1000',
    case: standardCase({
      ami,
      volumes,
      targets: Array.from({ length: 50 }, (_, index) => String(200_000_000_000 + index)),
      regions,
      timings: { baseSeconds: 60, secondsPerGiB: 0.4 },
      faults: [
        {
          kind: 'copy-fails',
          action: 'CopySnapshot',
          account: '200000000007',
          region: 'eu-north-1',
          message: 'Given key ID is not accessible',
        },
        {
          kind: 'copy-fails',
          action: 'CopySnapshot',
          account: '200000000031',
          region: 'sa-east-1',
          message: 'Snapshot copy failed with an internal error',
        },
      ],
    }),
    height: 1220,
  },
  {
    name: 'plan',
    case: fanOut({ ami, volumes, hubs: ['eu-west-1', 'us-west-2', 'ap-southeast-2'] }),
    inputs: { 'dry-run': 'true', topology: 'regional-hub' },
  },
];

const chromium = '/usr/bin/chromium';
const width = 1150;
const docs = new URL('../docs/', import.meta.url);

const require = createRequire(import.meta.url);

/** The summary as a page: GitHub's flavour of Markdown, its stylesheet, and mermaid for the blocks of that language. */
function pageOf(markdown: string): string {
  const marked = new Marked({
    gfm: true,
    renderer: {
      // `false` leaves a block to marked.
      code: ({ lang, text }) => (lang === 'mermaid' ? `<pre class="mermaid">${escaped(text)}</pre>` : false),
    },
  });
  const style = readFileSync(require.resolve('github-markdown-css/github-markdown-light.css'), 'utf8');
  const mermaid = pathToFileURL(require.resolve('mermaid/dist/mermaid.min.js'));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<style>
  ${style}
  body { margin: 0; background: #fff; }
  .markdown-body { box-sizing: border-box; width: ${width}px; padding: 24px 32px; }
  .markdown-body pre.mermaid { background: none; text-align: center; }
</style>
<body>
<article class="markdown-body">${marked.parse(markdown, { async: false })}</article>
<script src="${mermaid}"></script>
<script>
  mermaid.initialize({ startOnLoad: false });
  mermaid.run().finally(() => {
    document.body.dataset.height = document.body.scrollHeight;
  });
</script>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** Lets Chromium load a page until it is drawn. @throws Error with Chromium's words where it fails */
function browse(folder: string, page: string, ...options: string[]): string {
  const quiet = ['quic', 'background-networking', 'component-update', 'sync'].map((what) => `--disable-${what}`);
  const { status, stdout, stderr } = spawnSync(
    chromium,
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', ...quiet],
      ...['--hide-scrollbars', '--virtual-time-budget=60000', `--user-data-dir=${join(folder, 'profile')}`],
      ...options,
      String(pathToFileURL(page)),
    ],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  if (status !== 0) throw new Error(`Chromium ended with ${status}: ${stderr}`);
  return stdout;
}

async function take(picture: Picture, folder: string): Promise<void> {
  const page = join(folder, `${picture.name}.html`);
  writeFileSync(page, pageOf(await summaryOf(picture.case, picture.inputs)));
  const drawn = Number(/data-height="(\d+)"/.exec(browse(folder, page, '--dump-dom'))?.[1]);
  if (!(drawn > 0)) throw new Error(`${picture.name}: mermaid drew nothing`);
  const height = Math.min(drawn, picture.height ?? drawn);
  const path = new URL(`${picture.name}.png`, docs).pathname;
  browse(folder, page, `--window-size=${width},${height}`, `--screenshot=${path}`);
  console.log(`docs/${picture.name}.png: ${width} × ${height}`);
}

if (existsSync(chromium)) {
  mkdirSync(docs, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'pictures-'));
  const asked = process.argv.slice(2);
  try {
    for (const picture of pictures) if (asked.length === 0 || asked.includes(picture.name)) await take(picture, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
} else {
  console.error(`There is no ${chromium}: install Debian's package chromium (and fonts-noto-color-emoji) first.`);
  process.exitCode = 1;
}
