'use strict';
// The worker's end of the channel (see ../protocol.md): frames in through a net.Socket with one reused buffer, frames out through one
// reused buffer and one write a turn. One channel a process, so its state is this module's.
const fs = require('fs');
const net = require('net');
const { performance } = require('perf_hooks');

const INIT = 0x01, CALL = 0x02, BODY = 0x03, CANCEL = 0x04, RECALL = 0x05, PING = 0x06, CREDIT = 0x07, STOP = 0x08, CACHE = 0x0B;
const HELLO = 0x81, READY = 0x82, INIT_ERROR = 0x83, REPLY = 0x84, CHUNK = 0x85, PONG = 0x86, HANDBACK = 0x87, LOG = 0x88, CACHE_MADE = 0x8B;
const MORE = 1, ERROR = 2, STREAM = 4, HTTP = 8, LAST = 16;
const BODY_FOLLOWS = 0, HTTP_HEAD = 1, CONTENT_TYPE = 2; // what the bytes of a stream's REPLY are

const HEADER_BYTES = 16;
const CALL_FIXED_BYTES = 24;
const FRAME_MAX = 131072;
const REPLY_PART_MAX = 65536;
const FIRST_CREDIT = 262144;
const IN_BYTES = 262144;
const OUT_BYTES = 262144;
const ASCII_MAX = 64; // a text up to this is copied faster by a loop than by a call out of JavaScript
const REPLY_AGE_MS = 0.5; // between calls, unsent bytes older than this are written
const EXIT_WRITE_MS = 2000; // how long an exiting process tries to get its last words into a full socket

const NO_CALL = { slot: 0, generation: 0 };

let fd = -1;
let socket = null;
let handlers = null; // { onCall, onCache, onInit, onRecall, onStop, onTurn }
const out = Buffer.allocUnsafeSlow(OUT_BYTES);
let outLength = 0;
let outSince = 0;
let inFlight = null; // a Buffer that the socket writes, after a write that would have blocked
let backlog = []; // the Buffers that follow it
let whenDrained = null;
let closing = false; // the loop never turns again: writes are synchronous
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let rest = null; // the bytes of an incomplete frame
let partial = null; // a call whose event is still coming, with its parts
let flushPlanned = false;
const credits = new Map(); // call -> {left, wake} while its large reply is on its way

function open(channelFd, callbacks) {
  fd = channelFd;
  handlers = callbacks;
  const options = { fd: fd, readable: true, writable: true };
  const buffer = Buffer.allocUnsafeSlow(IN_BYTES);
  options.onread = {
    buffer: buffer,
    callback: function (size) {
      receive(buffer, size);
      return true;
    },
  };
  socket = new net.Socket(options);
  socket.on('data', function (data) { receive(data, data.length); }); // only Node before 12 comes here
  socket.on('end', gone);
  socket.on('close', gone);
  socket.on('error', gone);
}

// Receives one frame as if it came from the engine, before the channel is open; what answers it goes nowhere.
function rehearse(callbacks, kind, text) {
  handlers = callbacks;
  const size = Buffer.byteLength(text);
  const buffer = Buffer.alloc(HEADER_BYTES + size);
  buffer.writeUInt32LE(size, 0);
  buffer[4] = kind;
  buffer.utf8Write(text, HEADER_BYTES);
  receive(buffer, buffer.length);
}

// The engine is gone: nobody reads replies or logs any more, so no exit listener of the function runs either.
function gone() {
  process.reallyExit(1);
}

// ---- in

function receive(buffer, size) {
  if (rest !== null) {
    buffer = Buffer.concat([rest, buffer.slice(0, size)]);
    size = buffer.length;
    rest = null;
  }
  let at = 0;
  while (size - at >= HEADER_BYTES) {
    const length = u32(buffer, at);
    const after = at + HEADER_BYTES + length;
    if (after > size) {
      if (length > FRAME_MAX) gone();
      break;
    }
    const kind = buffer[at + 4];
    if (kind === CALL) receiveCall(buffer, at, after);
    else receiveControl(kind, buffer, at, after);
    at = after;
  }
  if (at < size) rest = Buffer.from(buffer.slice(at, size));
  handlers.onTurn();
}

// One shape for all calls. Ids and deadline stay in 32-bit words, which need no memory of their own, until somebody asks for them.
function emptyCall() {
  return {
    slot: 0,
    generation: 0,
    flags: 0,
    deadlineLow: 0,
    deadlineHigh: 0,
    id0: 0,
    id1: 0,
    id2: 0,
    id3: 0,
    extension: '',
    event: '',
    index: 0, // in the list of the calls that run
    startMs: 0,
    done: false,
    context: null,
    bare: false, // ends by its callback or by an empty loop
    stream: null, // of a reply that is streamed
    settled: false, // the callback came, with `value`; the reply waits for the empty loop
    value: null,
  };
}

function receiveCall(buffer, at, after) {
  const start = at + HEADER_BYTES;
  const extensionSize = buffer[at + 6] | (buffer[at + 7] << 8);
  const from = start + CALL_FIXED_BYTES + extensionSize;
  const flags = buffer[at + 5];
  const call = emptyCall();
  call.slot = i32(buffer, at + 8);
  call.generation = i32(buffer, at + 12);
  call.flags = flags;
  call.deadlineLow = i32(buffer, start);
  call.deadlineHigh = i32(buffer, start + 4);
  call.id0 = i32(buffer, start + 8);
  call.id1 = i32(buffer, start + 12);
  call.id2 = i32(buffer, start + 16);
  call.id3 = i32(buffer, start + 20);
  if (extensionSize !== 0) call.extension = buffer.utf8Slice(start + CALL_FIXED_BYTES, from);
  if ((flags & MORE) === 0) {
    call.event = buffer.utf8Slice(from, after);
    handlers.onCall(call);
  } else {
    partial = { call: call, parts: [Buffer.from(buffer.slice(from, after))] };
  }
}

function receiveControl(kind, buffer, at, after) {
  const slot = i32(buffer, at + 8);
  const generation = i32(buffer, at + 12);
  const start = at + HEADER_BYTES;
  switch (kind) {
    case BODY:
      if (partial === null || !same(partial.call, slot, generation)) return; // the rest of an event that was handed back
      partial.parts.push(Buffer.from(buffer.slice(start, after)));
      if ((buffer[at + 5] & MORE) === 0) {
        const call = partial.call;
        call.event = Buffer.concat(partial.parts).toString('utf8');
        partial = null;
        handlers.onCall(call);
      }
      return;
    case RECALL:
      if (partial !== null && same(partial.call, slot, generation)) {
        handBack(partial.call);
        partial = null;
      } else {
        handlers.onRecall(slot, generation);
      }
      return;
    case PING:
      reserve(HEADER_BYTES, 0);
      header(0, PONG, 0, buffer[at + 6] | (buffer[at + 7] << 8), NO_CALL);
      planFlush();
      return;
    case CREDIT:
      credits.forEach(function (credit, call) {
        if (same(call, slot, generation)) {
          credit.left += u32(buffer, start);
          credit.wake();
        }
      });
      return;
    case STOP:
      handlers.onStop();
      return;
    case CACHE:
      handlers.onCache(buffer.slice(start, after), (buffer[at + 5] & MORE) !== 0);
      return;
    case INIT:
      handlers.onInit(buffer.utf8Slice(start, after));
      return;
    default: // CANCEL is a hint that this worker doesn't take; what it doesn't know it ignores
  }
}

function i32(buffer, at) {
  return buffer[at] | (buffer[at + 1] << 8) | (buffer[at + 2] << 16) | (buffer[at + 3] << 24);
}

function u32(buffer, at) {
  return i32(buffer, at) >>> 0;
}

function same(call, slot, generation) {
  return call.slot === slot && call.generation === generation;
}

// ---- out

// Makes room for `bytes` more in the out buffer; at most OUT_BYTES. `nowMs`: the time, where it is known; else 0.
function reserve(bytes, nowMs) {
  if (outLength + bytes > OUT_BYTES) flush();
  if (outLength === 0) outSince = nowMs || performance.now();
}

function setU32(at, value) {
  out[at] = value;
  out[at + 1] = value >>> 8;
  out[at + 2] = value >>> 16;
  out[at + 3] = value >>> 24;
}

function header(length, kind, flags, aux, call) {
  const at = outLength;
  setU32(at, length);
  out[at + 4] = kind;
  out[at + 5] = flags;
  out[at + 6] = aux;
  out[at + 7] = aux >>> 8;
  setU32(at + 8, call.slot);
  setU32(at + 12, call.generation);
  outLength = at + HEADER_BYTES;
}

// Queues one frame; `data` is a string or a Buffer of at most FRAME_MAX bytes.
function put(kind, flags, aux, call, data) {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  reserve(HEADER_BYTES + bytes.length, 0);
  header(bytes.length, kind, flags, aux, call);
  bytes.copy(out, outLength);
  outLength += bytes.length;
  if (closing) flush();
  else planFlush();
}

function handBack(call) {
  reserve(HEADER_BYTES, 0);
  header(0, HANDBACK, 0, 0, call);
  planFlush();
}

// Queues a whole reply, at `nowMs`. Returns null, and whoever called it sees to flush() or planFlush(); or a promise of its end, if it is
// too large for one frame and waits for credit.
function reply(call, flags, micros, text, nowMs) {
  if (text.length * 3 > REPLY_PART_MAX) {
    const data = Buffer.from(text, 'utf8');
    if (data.length > REPLY_PART_MAX) return replyLarge(call, flags, micros, data);
  }
  reserve(HEADER_BYTES + 4 + text.length * 3, nowMs);
  const at = outLength;
  const size = writeText(text, at + HEADER_BYTES + 4);
  header(size + 4, REPLY, flags, 0, call);
  setU32(at + HEADER_BYTES, micros);
  outLength = at + HEADER_BYTES + 4 + size;
  return null;
}

// Writes `text` at `at` in UTF-8 and returns how many bytes it took.
function writeText(text, at) {
  const length = text.length;
  if (length > ASCII_MAX) return out.utf8Write(text, at);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return out.utf8Write(text, at);
    out[at + i] = code;
  }
  return length;
}

async function replyLarge(call, flags, micros, data) {
  const credit = { left: FIRST_CREDIT, wake: function () {} };
  credits.set(call, credit);
  let at = 0;
  while (at < data.length) {
    if (credit.left <= 0) {
      flush();
      await new Promise(function (resolve) { credit.wake = resolve; });
      continue;
    }
    const room = at === 0 ? REPLY_PART_MAX - 4 : REPLY_PART_MAX;
    const size = Math.min(room, data.length - at, credit.left);
    const more = at + size < data.length ? MORE : 0;
    const part = data.slice(at, at + size);
    if (at === 0) {
      const micro = Buffer.alloc(4);
      micro.writeUInt32LE(micros, 0);
      put(REPLY, flags | more, 0, call, Buffer.concat([micro, part]));
    } else {
      put(CHUNK, more, 0, call, part);
    }
    at += size;
    credit.left -= size;
  }
  credits.delete(call);
}

// Begins a streamed reply; `data` is the REPLY's payload. Returns its credit: who sends more takes from `left`, and sets `wake` to wait.
function openStream(call, kind, data) {
  const credit = { left: FIRST_CREDIT, wake: function () {} };
  credits.set(call, credit);
  put(REPLY, STREAM | MORE, kind, call, data);
  return credit;
}

function endStream(call) {
  credits.delete(call);
  put(CHUNK, 0, 0, call, '');
}

// Is a part of the call's reply still to come?
function isSending(call) {
  return credits.has(call);
}

// Ends such a reply at once, with error JSON.
function breakOff(call, flags, text) {
  credits.delete(call);
  put(CHUNK, ERROR | flags, 0, call, text);
}

function planFlush() {
  if (flushPlanned || outLength === 0) return;
  flushPlanned = true;
  setImmediate(plannedFlush);
}

function plannedFlush() {
  flushPlanned = false;
  flush();
}

// Writes what is queued, in one write. What the socket doesn't take at once is written by the loop, and so is all that follows until
// nothing is left of it: the order of the bytes never changes.
function flush() {
  if (outLength === 0) return;
  if (closing) {
    flushAtExit();
    return;
  }
  const length = outLength;
  outLength = 0;
  if (fd < 0) return; // the exercise at boot: nobody is to see it
  let written = 0;
  if (inFlight === null) {
    try {
      written = fs.writeSync(fd, out, 0, length);
    } catch (error) {
      if (error.code !== 'EAGAIN') gone();
    }
  }
  if (written < length) {
    backlog.push(Buffer.from(out.slice(written, length)));
    if (inFlight === null) writeBacklog();
  }
}

// One Buffer at a time, so that an exit knows what of it has left.
function writeBacklog() {
  inFlight = backlog.shift() || null;
  if (inFlight !== null) socket.write(inFlight, writeBacklog);
  else if (whenDrained !== null) whenDrained();
}

// The flush of a process that exits: it may block, for a while.
function flushAtExit() {
  closing = true;
  const until = performance.now() + EXIT_WRITE_MS;
  const parts = backlog;
  if (inFlight !== null) parts.unshift(inFlight.slice(inFlight.length - socket._handle.writeQueueSize));
  parts.push(out.slice(0, outLength));
  inFlight = null;
  backlog = [];
  outLength = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      if (performance.now() > until) gone();
      try {
        at += fs.writeSync(fd, part, at, part.length - at);
      } catch (error) {
        if (error.code !== 'EAGAIN') return;
        Atomics.wait(sleeper, 0, 0, 1);
      }
    }
  }
}

// Reads on in a process that exits, without its loop, until `over()`, the end of the stream, or for `ms`.
function linger(ms, over) {
  const until = performance.now() + ms;
  const buffer = Buffer.allocUnsafe(REPLY_PART_MAX);
  for (;;) {
    flushAtExit();
    if (over() || performance.now() > until) return;
    let size = 0;
    try {
      size = fs.readSync(fd, buffer, 0, buffer.length, null);
    } catch (error) {
      if (error.code !== 'EAGAIN') return;
      Atomics.wait(sleeper, 0, 0, 1);
      continue;
    }
    if (size === 0) return;
    receive(buffer, size);
  }
}

function flushIfOld(nowMs) {
  if (outLength !== 0 && nowMs - outSince > REPLY_AGE_MS) flush();
}

// Calls `then` when everything has left the process.
function drained(then) {
  flush();
  if (inFlight === null) then();
  else whenDrained = then;
}

// Lets the process's loop end while a call waits for it to be empty, or holds it again.
function hold(on) {
  if (on) socket.ref();
  else socket.unref();
}

module.exports = {
  INIT, CALL, HELLO, READY, INIT_ERROR, REPLY, CHUNK, LOG, CACHE_MADE, MORE, ERROR, STREAM, HTTP, LAST, NO_CALL, CALL_FIXED_BYTES, REPLY_PART_MAX,
  BODY_FOLLOWS, HTTP_HEAD, CONTENT_TYPE, openStream, endStream,
  open, rehearse, emptyCall, put, reply, isSending, breakOff, handBack, flush, planFlush, flushAtExit, flushIfOld, linger, drained, hold, same,
};
