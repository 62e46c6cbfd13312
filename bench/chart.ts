import type { Baseline } from './baselines.ts';
import type { Played } from './played.ts';
import type { timings } from './workload.ts';

/** What is drawn of the bench's results. */
type Makespans = Readonly<{
  action: readonly Played[];
  baselines: readonly Baseline[];
  timings: typeof timings;
}>;
type Bar = Readonly<{ label: string; value: number; ideal: boolean }>;

const width = 760;
const labelWidth = 330;
const barHeight = 22;

/** The makespans in ratio to the ideal, as an SVG bar chart; the line at 1 is the ideal. */
export function chart({ action, baselines, timings }: Makespans): string {
  const bars: Bar[] = [
    ...action.map(({ targets, workload, ratio }) => ({
      label: `action, ${targets} targets × ${workload.volumes} volumes`,
      value: ratio,
      ideal: true,
    })),
    ...baselines.map(({ targets, workload, ratio, style }) => ({
      label: `${style === 'sequential' ? 'script, one by one' : 'script, Promise.all'}, ${targets} × ${workload.volumes}`,
      value: ratio,
      ideal: false,
    })),
  ];
  const most = Math.max(...bars.map(({ value }) => value));
  const scale = (value: number) => (value / most) * (width - labelWidth - 80);
  const height = 60 + bars.length * (barHeight + 6);
  const rows = bars.map(({ label, value, ideal }, index) => {
    const y = 44 + index * (barHeight + 6);
    return `  <text x="${labelWidth - 8}" y="${y + 15}" text-anchor="end">${label}</text>
  <rect x="${labelWidth}" y="${y}" width="${scale(value).toFixed(1)}" height="${barHeight}" fill="${ideal ? '#1f883d' : '#9a6700'}"/>
  <text x="${(labelWidth + scale(value) + 6).toFixed(1)}" y="${y + 15}">${value.toFixed(2)}</text>`;
  });
  const one = (labelWidth + scale(1)).toFixed(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="13" fill="#24292f">
  <rect width="${width}" height="${height}" fill="#ffffff"/>
  <text x="12" y="24" font-size="15">Makespan over the ideal critical path (1 = encrypt, then copy; a copy takes ${timings.baseSeconds} s and more)</text>
${rows.join('\n')}
  <line x1="${one}" x2="${one}" y1="36" y2="${height - 12}" stroke="#24292f" stroke-dasharray="4 3"/>
</svg>
`;
}
