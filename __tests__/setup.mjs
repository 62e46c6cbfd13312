import { registerHooks } from 'node:module';
import { addEventHandler } from 'jest-circus';

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

/** The runner itself waits for ever. */
addEventHandler(({ name, timeout = patienceMs }, { currentDescribeBlock }) => {
  if (name !== 'add_test') return;
  const test = currentDescribeBlock.children.at(-1);
  const { fn } = test;
  if (fn === undefined) return;
  test.fn = async () => {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the test took longer than ${timeout / 1000} s`)), timeout);
    });
    try {
      await Promise.race([fn(), late]);
    } finally {
      clearTimeout(timer);
    }
  };
});
