'use strict';
// Units of the Node shim that need no worker: run by plain `node`, of any version.
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const calls = require('./calls.cjs');

const words = Buffer.from(Array.from({ length: 16 }, function (unused, i) { return i + 240; }));
const id = { id0: words.readInt32LE(0), id1: words.readInt32LE(4), id2: words.readInt32LE(8), id3: words.readInt32LE(12) };
assert.strictEqual(calls.requestIdText(id), 'f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff');

const error = calls.errorObject(new TypeError('no'));
assert.deepStrictEqual([error.errorType, error.errorMessage, error.trace[0]], ['TypeError', 'no', 'TypeError: no']);
assert.deepStrictEqual(calls.errorObject({ a: 1 }), { errorType: 'object', errorMessage: '{"a":1}', trace: [], stackTrace: [] });
assert.strictEqual(calls.errorObject(undefined).errorMessage, 'undefined');
const hostile = { toString: function () { throw new Error('x'); }, toJSON: function () { throw new Error('y'); } };
assert.strictEqual(calls.errorObject(hostile).errorMessage, '');
assert.ok(calls.errorObject(new Error('x'.repeat(1e6))).errorMessage.length < 300000);

const wild = calls.errorObject(new Error('\u0001'.repeat(1e6)));
wild.trace.push('\n'.repeat(1e5));
assert.ok(Buffer.byteLength(JSON.stringify(calls.shorten(wild))) <= 65532);
assert.deepStrictEqual(calls.shorten(error), error);

assert.ok(calls.describe(error).startsWith('[ERROR] TypeError: no\n'));
const renamed = new Error('no');
renamed.name = 'Renamed';
assert.ok(/^\[ERROR\] Renamed: no\n +at /.test(calls.describe(calls.errorObject(renamed))));
assert.strictEqual(calls.describe(calls.errorObject('text')), '[ERROR] string: text');

for (const name of ['', 'nodot', '.handler', 'a/.handler', 'app.', '../up.handler']) {
  calls.load(__dirname, name).then(
    function () { assert.fail(name); },
    function (problem) { assert.strictEqual(problem.name, 'Runtime.MalformedHandlerName', name); });
}

// Node 10 must be able to parse every file of the shim; newer operators would keep it from doing so.
fs.readdirSync(__dirname).filter(function (name) { return name.endsWith('.cjs') && !name.endsWith('.test.cjs'); }).forEach(function (name) {
  const text = fs.readFileSync(path.join(__dirname, name), 'utf8');
  assert.ok(!/\?\.[A-Za-z_[(]|\?\?|\bstatic\s*\{|\bthis\.#|\|\|=|&&=|^await /m.test(text), name + ' uses syntax that Node 10 does not know');
  assert.ok(text.split('\n').length <= 600, name + ' is too long');
});
