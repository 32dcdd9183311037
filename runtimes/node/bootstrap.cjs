'use strict';
// Hearth's Node worker: started as `/usr/bin/node .../bootstrap.cjs` with the channel on fd 3 (see ../protocol.md).
// It boots without user code, exercises its own load and call path, says HELLO and is parked until INIT.
// Syntax stays that of Node 10, except where a feature is looked for first.
const Module = require('module');
const { performance } = require('perf_hooks');
const v8 = require('v8');
const vm = require('vm');
const channel = require('./channel.cjs');
const calls = require('./calls.cjs');
const compileCache = require('./compile_cache.cjs');
const logs = require('./logs.cjs');
const callStorage = require('./storage.cjs');
const streams = require('./streams.cjs');

const CHANNEL_FD = 3;
const REPLY_MAX = 6 * 1024 * 1024 + 100; // Lambda's limit, to the byte
const SLOW_MS = 0.5;
const CAUTION_CALLS = 64; // after a call that took longer than that
const TERM_MS = 400; // how long a function may take after SIGTERM; the engine kills after limits.stop_grace, 500 ms
const LEAVE_MS = 1000; // how long a worker that ends by itself waits for STOP
const TURN_MS = 2; // handlers that never wait let the loop turn this often, so that RECALL and PING are read

let handler = null;
let takesCallback = false; // it names a third argument: what it returns is no reply, unless it is a promise
let streaming = false; // the handler streams its replies
let perWorker = 1;
let storage = null; // which call runs, if several do
const active = []; // the calls that run; each knows its index
let queue = [];
let bare = 0; // how many running calls end by their callback or by an empty loop; the channel does not hold the loop meanwhile
let pumping = false;
let turnPlanned = false;
// Numbers that each call changes. In variables V8 would make an object of every new value.
const times = new Float64Array(2);
const TURN_START = 0, CAUTION = 1; // CAUTION: how many calls more are to find no reply waiting, because one was slow
let stopping = false;
let leaving = false;
let lingers = false; // it leaves by itself, and hands back what still comes
let initialising = false;

// ---- calls

// Starts calls while there is room for them. Calls that end at once end inside this loop; the others call it again when they end.
// `nowMs` saves a look at the clock where the time is known; else 0.
function pump(nowMs) {
  if (pumping) return;
  if (leaving) {
    channel.planFlush();
    return;
  }
  pumping = true;
  while (active.length < perWorker && queue.length > 0) {
    const now = nowMs || performance.now();
    nowMs = 0;
    if (times[CAUTION] > 0) { // the next call may be slow as well, and nobody could flush then
      times[CAUTION]--;
      channel.flush();
    } else {
      channel.flushIfOld(now);
    }
    if (now - times[TURN_START] > TURN_MS) {
      planTurn();
      break;
    }
    start(queue.shift(), now);
  }
  pumping = false;
  if (active.length === 0 && queue.length === 0) {
    channel.flush();
    if (stopping) stopped();
  } else {
    channel.planFlush();
  }
}

function planTurn() {
  if (turnPlanned) return;
  turnPlanned = true;
  channel.flush();
  // Two hops: an immediate that is set while the loop reads runs before the loop reads again.
  setImmediate(function () {
    setImmediate(function () {
      turnPlanned = false;
      const now = performance.now();
      times[TURN_START] = now;
      pump(now);
    });
  });
}

function start(call, now) {
  call.index = active.length;
  active.push(call);
  call.startMs = now;
  if (storage !== null) storage.run(call, run, call);
  else run(call);
}

function run(call) {
  let event;
  if (call.event === '') {
    event = {};
  } else {
    try {
      event = JSON.parse(call.event);
    } catch (error) {
      fail(call, calls.typed('Runtime.UnmarshalError', 'Unable to unmarshal input: ' + error.message));
      return;
    }
    call.event = '';
  }
  if (call.extension !== '') setTrace(call);
  const callback = function (error, value) { settle(call, error, value); };
  const context = new calls.Context(call, callback);
  call.context = context;
  let result;
  try {
    if (streaming) {
      runStream(call, event, context);
      return;
    }
    result = handler(event, context, callback);
  } catch (error) {
    fail(call, error);
    return;
  }
  if (result !== null && result !== undefined && typeof result.then === 'function') {
    result.then(function (value) { succeed(call, value); }, function (error) { fail(call, error); });
  } else if (result !== undefined && !takesCallback && !call.done) {
    succeed(call, result);
  } else if (!call.done) {
    waitForLoop(call); // nothing but its callback can end it now, or an empty loop, as in Lambda
  }
}

// The reply is over when its stream is; the worker takes the next call when the handler is over as well.
function runStream(call, event, context) {
  const stream = streams.make(handler, call, function () { logs.endOfCall(call); });
  let running = true, told = false;
  const look = function () {
    if (running || !call.done || told) return;
    told = true;
    ended(call, 0);
  };
  const over = function (failed, error) {
    running = false;
    if (failed && call.done) logs.record(calls.describe(calls.errorObject(error)), logs.LEVEL_ERROR, call);
    else if (failed) breakOff(call, error);
    else if (!call.done && !stream.over) waitForLoop(call); // whoever still has it ends it; else nobody does
    look();
  };
  call.stream = stream;
  stream.on('finish', function () {
    if (!call.done) close(call);
    look();
  });
  stream.on('error', function (error) {
    breakOff(call, error);
    look();
  });
  stream.on('close', function () {
    breakOff(call, calls.typed('Runtime.TruncatedResponse', 'The response stream was destroyed before its end'));
    look();
  });
  let result;
  try {
    result = handler(event, stream, context);
  } catch (error) {
    over(true, error);
    return;
  }
  if (result !== null && result !== undefined && typeof result.then === 'function') {
    result.then(function () { over(false); }, function (error) { over(true, error); });
  } else {
    over(false);
  }
}

// What has gone out of a stream can't be taken back; before that the call fails as any other.
function breakOff(call, error) {
  if (call.done) return;
  const report = calls.errorObject(error);
  logs.record(calls.describe(report), logs.LEVEL_ERROR, call);
  close(call);
  if (call.stream.begun) channel.breakOff(call, 0, JSON.stringify(calls.shorten(report)));
  else channel.reply(call, channel.ERROR, Math.round((performance.now() - call.startMs) * 1000), JSON.stringify(calls.shorten(report)), 0);
  channel.planFlush();
  call.stream.destroy();
}

function close(call) {
  call.done = true;
  if (call.bare && --bare === 0) channel.hold(true);
  logs.endOfCall(call);
}

// The callback style. With callbackWaitsForEmptyEventLoop the reply goes out when the function has nothing pending any more.
function settle(call, error, value) {
  if (call.done) return;
  const waits = call.context.callbackWaitsForEmptyEventLoop && perWorker === 1 && (error === null || error === undefined);
  if (!waits) {
    if (error !== null && error !== undefined) fail(call, error);
    else succeed(call, value);
    return;
  }
  if (call.settled) return;
  call.settled = true;
  call.value = value;
  waitForLoop(call);
}

function waitForLoop(call) {
  if (call.bare) return;
  call.bare = true;
  if (bare++ === 0) channel.hold(false);
}

process.on('beforeExit', function () {
  active.slice().forEach(function (call) {
    if (!call.bare || call.done) return;
    if (call.stream !== null) call.stream.end();
    else succeed(call, call.value);
  });
});

function setTrace(call) {
  const trace = calls.extra(call, 'traceId');
  if (typeof trace === 'string') process.env._X_AMZN_TRACE_ID = trace;
}

function succeed(call, value) {
  if (call.done) return;
  let text;
  try {
    text = JSON.stringify(value);
    if (text === undefined) text = 'null';
  } catch (error) {
    fail(call, calls.typed('Runtime.MarshalError', 'Unable to stringify response body: ' + error.message));
    return;
  }
  if ((call.flags & channel.HTTP) !== 0 && value instanceof Uint8Array) {
    text = JSON.stringify({ statusCode: 200, headers: { 'content-type': 'application/octet-stream' }, isBase64Encoded: true,
      body: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') });
  }
  if (text.length * 3 > REPLY_MAX && Buffer.byteLength(text) > REPLY_MAX) {
    fail(call, calls.typed('Function.ResponseSizeTooLarge',
      'Response payload size exceeded maximum allowed payload size (' + REPLY_MAX + ' bytes).'));
    return;
  }
  end(call, 0, text);
}

function fail(call, error) {
  if (call.done) return;
  const report = calls.errorObject(error);
  logs.record(calls.describe(report), logs.LEVEL_ERROR, call);
  end(call, channel.ERROR, JSON.stringify(report));
}

function end(call, flags, text) {
  close(call);
  const now = performance.now();
  const tookMs = now - call.startMs;
  if (tookMs > SLOW_MS) times[CAUTION] = CAUTION_CALLS;
  const sent = channel.reply(call, flags, Math.round(tookMs * 1000), text, now);
  if (sent === null) ended(call, now);
  else sent.then(function () { ended(call, 0); });
}

function ended(call, nowMs) {
  const last = active.pop();
  if (last !== call) {
    active[call.index] = last;
    last.index = call.index;
  }
  pump(nowMs);
}

function executing() {
  if (storage !== null) return storage.getStore() || null;
  return active.length > 0 ? active[0] : null;
}

// ---- what comes from the engine

const callbacks = {
  onCall: function (call) {
    if (leaving) channel.handBack(call);
    else queue.push(call);
  },
  onCache: compileCache.receive,
  onInit: function (text) { init(text); },
  onRecall: function (slot, generation) {
    for (let i = 0; i < queue.length; i++) {
      if (channel.same(queue[i], slot, generation)) {
        channel.handBack(queue[i]);
        queue.splice(i, 1);
        return;
      }
    }
  },
  onStop: function () { stopping = true; },
  onTurn: function () {
    const now = performance.now();
    if (!turnPlanned) times[TURN_START] = now;
    if (handler !== null) pump(now);
    else if (stopping && !initialising) leave(0);
  },
};

async function init(text) {
  initialising = true;
  const begin = performance.now();
  const values = JSON.parse(text);
  setEnvironment(values.environment || {});
  if (process.env.NODE_PATH) Module._initPaths();
  logs.configure(values.log_rate || logs.RATE, values.log_burst || logs.BURST);
  calls.configure(values);
  const root = values.root || '/var/task';
  let loaded;
  try {
    try {
      process.chdir(root);
    } catch (error) {
      throw calls.typed('Runtime.ImportModuleError', "Unable to enter the function's folder: " + error.message);
    }
    // For `hearth dev --debug`.
    const debugPort = Number(process.env.HEARTH_DEBUG_PORT);
    if (debugPort > 0) require('node:inspector').open(debugPort, '127.0.0.1');
    compileCache.begin(debugPort > 0 ? 0 : values.compile_cache || 0);
    loaded = await calls.load(root, values.handler || '');
  } catch (error) {
    compileCache.end();
    initFailed(calls.errorObject(error));
    return;
  }
  perWorker = Math.max(1, values.per_worker || 1);
  if (perWorker > 1) storage = callStorage.make();
  const cache = compileCache.end(); // before READY: no event has been in this process
  cache.parts.forEach(function (part, i) {
    channel.put(channel.CACHE_MADE, i < cache.parts.length - 1 ? channel.MORE : 0, 0, channel.NO_CALL, part);
  });
  logs.endOfCall(null);
  const micros = Buffer.alloc(4);
  micros.writeUInt32LE(Math.round((performance.now() - begin) * 1000), 0);
  channel.put(channel.READY, 0, cache.verdict, channel.NO_CALL, micros);
  channel.flush();
  handler = loaded;
  takesCallback = loaded.length >= 3;
  streaming = streams.isStreaming(loaded);
  initialising = false;
  pump(0);
}

// Changes only what differs. Every change of TZ makes V8 look for the zone anew, and one that leaves it unset searches all of
// /usr/share/zoneinfo. What counts at the start of a process alone, as NODE_OPTIONS does, changes nothing in this one any more.
function setEnvironment(wanted) {
  const environment = process.env;
  Object.keys(wanted).forEach(function (name) {
    if (environment[name] !== wanted[name]) environment[name] = wanted[name];
  });
  Object.keys(environment).forEach(function (name) {
    if (!Object.prototype.hasOwnProperty.call(wanted, name)) delete environment[name];
  });
}

function initFailed(report) {
  logs.record(calls.describe(report), logs.LEVEL_ERROR, null);
  logs.endOfCall(null);
  channel.put(channel.INIT_ERROR, 0, 0, channel.NO_CALL, JSON.stringify(calls.shorten(report)));
  leave(1);
}

// ---- ends

// A function that listens for SIGTERM hears of its end by that, as in Lambda, and may end by itself within TERM_MS.
function stopped() {
  if (leaving || process.listenerCount('SIGTERM') === 0) return leave(0);
  leaving = true;
  setTimeout(function () { channel.drained(function () { process.exit(0); }); }, TERM_MS);
  process.emit('SIGTERM', 'SIGTERM', 15);
}

// Says everything, exits; at STOP, and after INIT_ERROR.
function leave(status) {
  if (leaving) return;
  leaving = true;
  queue = [];
  channel.drained(function () { process.exit(status); });
}

// The worker ends by itself. Calls that wait in it go back; each that runs is answered with what `reportOf` says, the last one with LAST.
function abandon(reportOf) {
  leaving = true;
  lingers = !stopping;
  queue.forEach(channel.handBack);
  queue = [];
  const open = active.filter(function (call) { return !call.done || channel.isSending(call); });
  open.forEach(function (call, i) {
    const last = i === open.length - 1 ? channel.LAST : 0;
    const report = calls.shorten(reportOf(call));
    const text = JSON.stringify(report);
    logs.endOfCall(call);
    if (channel.isSending(call)) {
      channel.breakOff(call, last, text);
      return;
    }
    call.done = true;
    const now = performance.now();
    channel.reply(call, channel.ERROR | last, Math.round((now - call.startMs) * 1000), text, now);
  });
}

function failEverything(report) {
  if (leaving) return;
  if (handler === null) {
    if (initialising) initFailed(report);
    return;
  }
  if (active.length === 0) logs.record(calls.describe(report), logs.LEVEL_ERROR);
  abandon(function (call) {
    logs.record(calls.describe(report), logs.LEVEL_ERROR, call);
    return report;
  });
  process.exit(1);
}

process.on('uncaughtException', function (error) {
  failEverything(calls.errorObject(error));
});

process.on('unhandledRejection', function (reason) {
  const report = calls.errorObject(reason, 'Runtime.UnhandledPromiseRejection');
  const name = reason instanceof Error ? reason.name + ': ' : '';
  report.errorMessage = name + report.errorMessage;
  failEverything(report);
});

function exitReport(message, call) {
  const report = calls.errorObject(calls.typed('Runtime.ExitError', message));
  logs.record(calls.describe(report), logs.LEVEL_ERROR, call);
  return report;
}

// process.exit() in a handler comes here, and so does our own exit.
process.on('exit', function (status) {
  const how = status ? 'exit status ' + status : 'the handler called exit';
  if (!leaving && handler !== null) {
    abandon(function (call) {
      return exitReport('RequestId: ' + calls.requestIdText(call) + ' Error: Runtime exited with error: ' + how, call);
    });
  } else if (!leaving && initialising) {
    leaving = true;
    channel.put(channel.INIT_ERROR, 0, 0, channel.NO_CALL,
      JSON.stringify(exitReport('The module called process.exit while it was loaded: ' + how, null)));
  }
  if (lingers) channel.linger(LEAVE_MS, function () { return stopping; });
  channel.flushAtExit();
});

// ---- boot

// Walks the whole way of a first call with dummy functions, from the bytes of INIT on: what is compiled and looked up here is not when a
// caller waits. Nothing of it leaves the process, for the channel is not open yet.
async function exercise() {
  const environment = Object.assign({}, process.env);
  channel.rehearse(callbacks, channel.INIT, JSON.stringify({ function: 'exercise', handler: 'exercise.handler', root: __dirname,
    environment: Object.assign({}, environment, { HEARTH_EXERCISE: '1', HEARTH_DEBUG_PORT: '' }), memory_mb: 128, per_worker: 1, compile_cache: 1 }));
  while (handler === null) await turn();
  const fixed = '\0'.repeat(channel.CALL_FIXED_BYTES);
  for (const event of ['{"name":"world"}', '{"name":"world"}', '{"print":1}', '{"fail":1}', '[', '']) {
    channel.rehearse(callbacks, channel.CALL, fixed + event);
    while (active.length > 0 || queue.length > 0) await turn();
  }
  handler = null;
  setEnvironment(environment);
  process.chdir('/');
  for (const name of ['exercise.missing', 'exercise_esm.handler']) {
    try {
      await calls.load(__dirname, name);
      await import('./exercise_esm.mjs'); // a function may call it
    } catch (error) {
      calls.errorObject(error); // the first has no such handler; the second fails in a Node without ES modules
    }
  }
  for (const file of ['./exercise.js', './exercise_esm.mjs']) delete require.cache[require.resolve(file)];
}

// The first call is not to find a young heap that the boot has filled: collecting it takes a millisecond.
function collect() {
  v8.setFlagsFromString('--expose-gc');
  vm.runInNewContext('gc')(); // while the flag is on: Node 10 asks for it
  v8.setFlagsFromString('--no-expose-gc');
}

function turn() {
  return new Promise(setImmediate);
}

async function boot() {
  logs.install(executing);
  streams.install();
  await exercise();
  collect();
  channel.open(CHANNEL_FD, callbacks);
  channel.put(channel.HELLO, 0, 0, channel.NO_CALL,
    JSON.stringify({ protocol: 1, runtime: 'nodejs', version: process.versions.node }));
  channel.flush();
}

boot();
