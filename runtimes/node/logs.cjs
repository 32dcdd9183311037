'use strict';
// What the function prints becomes LOG frames with the id of the executing call, within the rate that the engine granted.
const stream = require('stream');
const { performance } = require('perf_hooks');
const channel = require('./channel.cjs');

const LINE_MAX = 65536;
const PARTIAL_MAX = 16 * LINE_MAX; // what a function without newlines can pile up here
const RATE = 1 << 20, BURST = 4 << 20; // bytes a second, bytes; INIT may say otherwise
const MARKER_PERIOD_MS = 1000;
const MARKER_RESERVE = 1024; // bytes of the burst that only markers may use: a flood leaves room for its own marker
const FLUSH_BYTES = 65536;
const PLAIN = 0, DEBUG = 1, INFO = 2, WARNING = 3, LEVEL_ERROR = 4;
const METHODS = { log: INFO, info: INFO, debug: DEBUG, trace: DEBUG, warn: WARNING, error: LEVEL_ERROR };

let executing = function () { return null; };
let rate = RATE, burst = BURST, reserve = MARKER_RESERVE, tokens = BURST, refilled = 0;
let droppedLines = 0, marked = -Infinity, unflushed = 0, level = PLAIN;
const streams = [];

function install(executingCall) {
  executing = executingCall;
  const stdout = lineStream(1), stderr = lineStream(2);
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: function () { return stdout; } });
  Object.defineProperty(process, 'stderr', { configurable: true, enumerable: true, get: function () { return stderr; } });
  const fresh = new console.Console(stdout, stderr);
  Object.keys(fresh).forEach(function (name) {
    if (typeof fresh[name] === 'function') console[name] = fresh[name].bind(fresh);
  });
  Object.keys(METHODS).forEach(function (name) {
    const plain = console[name];
    console[name] = function () {
      level = METHODS[name];
      try {
        return plain.apply(console, arguments);
      } finally {
        level = PLAIN;
      }
    };
  });
}

function configure(bytesPerSecond, burstBytes) {
  rate = Math.max(1, bytesPerSecond);
  burst = tokens = Math.max(1, burstBytes);
  reserve = Math.min(MARKER_RESERVE, burst / 2);
  droppedLines = 0;
  marked = -Infinity;
}

// A writable stream that never buffers: its lines are frames when write() returns.
function lineStream(fd) {
  const self = new stream.Writable({ decodeStrings: false });
  const state = { text: '' };
  streams.push(state);
  self.fd = fd;
  self.isTTY = false;
  self.write = function (chunk, encoding, callback) {
    if (typeof encoding === 'function') {
      callback = encoding;
      encoding = undefined;
    }
    writeText(state, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'));
    if (typeof callback === 'function') process.nextTick(callback);
    return true;
  };
  self.end = function (chunk, encoding, callback) {
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') self.write(chunk, encoding, callback);
    return self;
  };
  self.destroy = function () { return self; };
  return self;
}

function writeText(state, text) {
  let at = 0;
  for (;;) {
    const end = text.indexOf('\n', at);
    if (end < 0) break;
    line(state.text + text.slice(at, end + 1), level);
    state.text = '';
    at = end + 1;
  }
  state.text += text.slice(at);
  if (state.text.length > PARTIAL_MAX) finishLine(state);
}

function finishLine(state) {
  const text = state.text;
  state.text = '';
  line(text + '\n', PLAIN);
}

// Queues one line that ends in a newline.
function line(text, lineLevel) {
  queue(text, lineLevel, executing() || channel.NO_CALL);
}

// Queues a text of several lines as one frame, for `call` or, without one, for the call that executes.
function record(text, lineLevel, call) {
  queue(text + '\n', lineLevel, call || executing() || channel.NO_CALL);
}

function queue(text, lineLevel, call) {
  const data = Buffer.from(text, 'utf8');
  if (!take(data.length, reserve)) {
    droppedLines++;
    return;
  }
  if (droppedLines > 0 && refilled - marked >= MARKER_PERIOD_MS) mark(call);
  let at = 0;
  while (data.length - at > LINE_MAX) {
    let cut = at + LINE_MAX;
    while ((data[cut] & 0xc0) === 0x80) cut--; // never inside a UTF-8 sequence
    channel.put(channel.LOG, channel.MORE, lineLevel, call, data.slice(at, cut));
    at = cut;
  }
  channel.put(channel.LOG, 0, lineLevel, call, data.slice(at));
  unflushed += data.length;
  if (unflushed >= FLUSH_BYTES) {
    unflushed = 0;
    channel.flush();
  }
}

function take(size, left) {
  const now = performance.now();
  tokens = Math.min(burst, tokens + (now - refilled) * rate / 1000);
  refilled = now;
  if (tokens - size < left) return false;
  tokens -= size;
  return true;
}

// Tells of dropped lines: once a period while a call goes on, and at its end. Markers are paid for as well; a count that finds even
// the reserve used up waits for the end of the next call.
function mark(call) {
  const text = '[hearth] ' + droppedLines + ' log lines dropped\n';
  if (!take(text.length, 0)) return;
  droppedLines = 0;
  marked = refilled;
  channel.put(channel.LOG, 0, PLAIN, call, text);
}

// At the end of `call` (null: of the initialisation): what has no newline yet, and the marker.
function endOfCall(call) {
  if (streams[0].text !== '') finishLine(streams[0]);
  if (streams[1].text !== '') finishLine(streams[1]);
  if (droppedLines > 0) mark(call || channel.NO_CALL);
}

module.exports = { install, configure, record, endOfCall, RATE, BURST, LEVEL_ERROR };
