// What the test files import of @jest/globals, which can't be loaded outside jest's own contexts (setup.mjs).
export const { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } = globalThis;
