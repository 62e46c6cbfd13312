import { readFileSync, readlinkSync } from 'node:fs';
import type { Machine } from './host.ts';
import { sha256 } from './sha256.ts';

/** The machine that this runs on; Linux alone tells what is asked. */
export function thisMachine(): Machine {
  const name = machineName();
  return { name, process: name === '' ? '' : processName(process.pid), isRunning };
}

function machineName(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    return sha256(boot + readlinkSync('/proc/self/ns/pid')).slice(0, 16);
  } catch {
    return '';
  }
}

/** A process by its ID and its start, since IDs come round again. */
function processName(pid: number | string): string {
  // The command's name, in parentheses, may hold anything; the start time is the 20th field after it.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z' || state === 'X') throw new Error('the process has ended');
  return `${pid}.${fields[18]}`;
}

function isRunning(process: string): boolean {
  try {
    return processName(process.split('.')[0] ?? '') === process;
  } catch {
    return false;
  }
}
