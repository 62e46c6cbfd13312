import type { Reader } from './reader.ts';

/** How severe a finding of Amazon Inspector may be; `none` for no finding at all. */
export const severities = ['none', 'informational', 'low', 'medium', 'high'] as const;

/** What Amazon Inspector's scan of the source AMI must have come to before anything is made from it. */
export type ScanGate = Readonly<{
  /** The highest severity that passes. */
  maxSeverity: (typeof severities)[number];
  maxAgeDays: number | undefined;
  /** Whether an AMI that has not been scanned is a problem. */
  required: boolean;
  /** How long a scan is waited for. */
  waitMinutes: number;
  /** Whether only findings count for which there is a fix. */
  fixableOnly: boolean;
}>;

/** The gate, if there is one: by `max-severity`. */
export function readScanGate(reader: Reader): ScanGate | undefined {
  const gate = {
    maxAgeDays: reader.text('scan-max-age-days') === '' ? undefined : reader.whole('scan-max-age-days', 1, 3650),
    required: reader.flag('scan-required'),
    waitMinutes: reader.whole('scan-wait-minutes', 0, 1440),
    fixableOnly: reader.flag('fixable-only'),
  };
  if (reader.text('max-severity') !== '') return { ...gate, maxSeverity: reader.oneOf('max-severity', severities) };
  const needs = 'max-severity is needed with it: the highest severity that passes';
  if (gate.maxAgeDays !== undefined) reader.note('scan-max-age-days', String(gate.maxAgeDays), needs);
  if (gate.waitMinutes > 0) reader.note('scan-wait-minutes', String(gate.waitMinutes), needs);
  if (gate.fixableOnly) reader.note('fixable-only', 'true', needs);
  return undefined;
}
