import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { handler } from './index.mjs';

const read = () => JSON.parse(readFileSync(new URL('event.json', import.meta.url), 'utf8'));

const call = async (event) => {
  const { statusCode, body } = await handler(event);
  return [statusCode, JSON.parse(body)];
};

test('greets by the name in the query', async () => {
  assert.deepEqual(await call(read()), [200, { message: 'Hello world' }]);
});

test('needs no query', async () => {
  const event = read();
  delete event.queryStringParameters;
  assert.deepEqual(await call(event), [200, { message: 'Hello world' }]);
});

test('other paths are not found', async () => {
  const [status] = await call({ ...read(), rawPath: '/other' });
  assert.equal(status, 404);
});
