// What Node.js needs from a sandbox: each check ends with one line on descriptor 3, "name=0" or "name=" and the error.
'use strict';
const assert = require('assert');
const childProcess = require('child_process');
const crypto = require('crypto');
const dns = require('dns');
const fs = require('fs');
const http = require('http');
const os = require('os');
const zlib = require('zlib');
const { Worker } = require('worker_threads');

const channel = (text) => fs.writeSync(3, `${text}\n`);

const checks = {
  async fetch() {
    const server = http.createServer((request, response) => response.end('hello'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
    assert.strictEqual(await response.text(), 'hello');
    server.close();
    server.closeAllConnections();
  },
  async worker_threads() {
    const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
    assert.strictEqual(await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject)), 42);
  },
  async child_process() {
    assert.strictEqual(childProcess.execFileSync('/bin/echo', ['x']).toString(), 'x\n');
    await new Promise((resolve, reject) => childProcess.exec('exit 0', (error) => (error ? reject(error) : resolve())));
  },
  async fs() {
    const folder = fs.mkdtempSync('/tmp/check-');
    await fs.promises.writeFile(`${folder}/a`, 'x'.repeat(100000));
    await fs.promises.copyFile(`${folder}/a`, `${folder}/b`);
    assert.strictEqual((await fs.promises.readFile(`${folder}/b`)).length, 100000);
    fs.watch(folder).close();
    fs.rmSync(folder, { recursive: true });
  },
  async crypto() {
    assert.strictEqual(crypto.createHash('sha256').update('x').digest('hex').length, 64);
    assert.strictEqual(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.type, 'public');
  },
  async dns() {
    assert.strictEqual((await dns.promises.lookup('localhost', 4)).address, '127.0.0.1');
  },
  async os() {
    assert.strictEqual(os.userInfo().homedir, '/tmp');
    assert.strictEqual(os.hostname(), 'hearth');
    os.networkInterfaces();
    process.memoryUsage();
  },
  async wasm() {
    const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
    assert.ok((await WebAssembly.instantiate(bytes)).instance);
  },
  async zlib() {
    assert.strictEqual(zlib.gunzipSync(zlib.gzipSync('x')).toString(), 'x');
  },
};

(async () => {
  channel('HELLO');
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      channel(`${name}=0`);
    } catch (error) {
      channel(`${name}=${String(error).replaceAll('\n', ' ')}`);
    }
  }
  channel('END');
  fs.readSync(3, Buffer.alloc(1));
  process.exit(0);
})();
