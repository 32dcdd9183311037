// What Node does with `network: egress`: a line "NAME=RESULT" each on descriptor 3, 0 is good. Waits for a byte first.
'use strict';
const dns = require('node:dns');
const fs = require('node:fs');
const net = require('node:net');

const say = (text) => fs.writeSync(3, text + '\n');
say('HELLO');
fs.readSync(3, Buffer.alloc(1));

const greeting = (host, port) => new Promise((resolve, reject) => {
  let text = '';
  net.connect(port, host).setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => resolve(text === `port ${port}\n`)).on('error', reject);
});
const refused = (promise, code) => promise.then(() => 'it was not refused', (error) => error.code === code || error.code);

const checks = {
  connect: () => greeting('api.example.com', 80),
  'many at once': async () => (await Promise.all(Array.from({ length: 20 }, () => greeting('93.184.215.14', 80)))).every(Boolean),
  fetch: async () => (await (await fetch('http://api.example.com:8080/')).text()) === 'hi\n',
  resolver: async () => (await dns.promises.resolve4('api.example.com'))[0] === '93.184.215.14',
  'own server': () => new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.end('port 0\n')).listen(0, '127.0.0.1', () => {
      net.connect(server.address().port, '127.0.0.1').on('data', (part) => { server.close(); resolve(`${part}` === 'port 0\n'); }).on('error', reject);
    });
  }),
  'local socket': () => new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.end('x')).listen('/tmp/own.sock', () => {
      net.connect('/tmp/own.sock').on('data', () => { server.close(); resolve(server.address() === '/tmp/own.sock' || true); }).on('error', reject);
    });
  }),
  'no rule': () => refused(greeting('93.184.215.15', 80), 'EACCES'),
  special: () => refused(greeting('10.9.0.5', 80), 'EACCES'),
  'no name': () => refused(greeting('two.example.com', 80), 'ENOTFOUND'),
};

(async () => {
  for (const [name, what] of Object.entries(checks)) {
    const result = await Promise.resolve().then(what).catch((error) => `${error.code} ${error.message}`.replace(/\n/g, ' '));
    say(`${name}=${result === true ? 0 : result}`);
  }
  say('END');
  fs.readSync(3, Buffer.alloc(1));
})();
