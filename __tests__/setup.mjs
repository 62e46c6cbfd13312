import { registerHooks } from 'node:module';
import { addEventHandler } from 'jest-circus';
import pLimit from 'p-limit';

/*
 * What each of jest's workers does before its first test file. The files run as node itself runs them, with no context of
 * their own: loading everything anew for each file took a quarter of all computing.
 */

const globals = new URL('globals.mjs', import.meta.url).href;
const remembering = new URL('iam-utils.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === '@jest/globals') return { url: globals, shortCircuit: true };
    if (specifier === '@cloud-copilot/iam-utils') return { url: remembering, shortCircuit: true };
    return next(specifier, context);
  },
});

const patienceMs = 60_000;

/** Of each file, by its outermost block, what begins the tests of `test.concurrent` when the first of them runs. */
const concurrents = new WeakMap();
const atOnce = pLimit(5);

/** What the runner itself doesn't do: a test has an end, and `test.concurrent` is what it says. */
addEventHandler(({ name, concurrent, timeout = patienceMs }, { currentDescribeBlock }) => {
  if (name !== 'add_test') return;
  const test = currentDescribeBlock.children.at(-1);
  if (test.fn === undefined) return;
  const { fn } = test;
  test.fn = () => within(timeout, fn);
  if (!concurrent) return;
  let begun;
  const begin = () => {
    begun ??= atOnce(() => within(timeout, fn));
    // Whoever waits for it is told; until then, a failure isn't one that nobody handles.
    begun.catch(() => {});
  };
  let file = currentDescribeBlock;
  while (file.parent) file = file.parent;
  const all = concurrents.get(file) ?? [];
  concurrents.set(file, [...all, begin]);
  test.fn = () => {
    for (const one of concurrents.get(file)) one();
    return begun;
  };
});

async function within(ms, act) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the test took longer than ${ms / 1000} s`)), ms);
  });
  try {
    await Promise.race([act(), late]);
  } finally {
    clearTimeout(timer);
  }
}
