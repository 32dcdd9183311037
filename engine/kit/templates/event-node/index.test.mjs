import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { handler } from './index.mjs';

const read = () => JSON.parse(readFileSync(new URL('event.json', import.meta.url), 'utf8'));

test('an order is accepted', async () => {
  assert.deepEqual(await handler(read()), { order: 'A-17', accepted: true });
});

test('an event without an order is an error', async () => {
  await assert.rejects(handler({ ...read(), data: {} }), TypeError);
});
