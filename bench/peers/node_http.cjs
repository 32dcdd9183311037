'use strict';
// The peer for Node: the server that one writes with nothing but node:http. Reads JSON, answers JSON.
const http = require('node:http');

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const event = JSON.parse(Buffer.concat(parts).toString());
    const body = JSON.stringify({ message: 'Hello ' + event.name });
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  });
});

server.listen(Number(process.argv[2]), '127.0.0.1');
