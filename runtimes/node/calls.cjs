'use strict';
// What a handler sees and gives: its context, errors in Lambda's words, and the search for the handler.
const fs = require('fs');
const path = require('path');
const url = require('url');

const STACK_MAX = 100; // lines of an error's stack trace
const MESSAGE_MAX = 262144; // characters of an error's message
const SHORT_CHARS = 4096; // 6 bytes of JSON each at most
const SHIM_FILES = ['bootstrap.cjs', 'calls.cjs', 'channel.cjs', 'logs.cjs', 'storage.cjs', 'streams.cjs'].map(function (name) { return path.join(__dirname, name); });
const CACHE_FILE = path.join(__dirname, 'compile_cache.cjs'); // stands in for a frame of Node's loader
const QUIET = { throwIfNoEntry: false };
const EXTENSIONS = ['', '.js', '.mjs', '.cjs'];

// The same for every call; set once by configure().
const shared = { functionName: '', functionVersion: '$LATEST', memoryLimitInMB: '128', logGroupName: '', logStreamName: '', arn: '' };

function configure(init) {
  shared.functionName = init.function || '';
  shared.functionVersion = init.version || '$LATEST';
  shared.memoryLimitInMB = String(init.memory_mb || 128);
  shared.logGroupName = process.env.AWS_LAMBDA_LOG_GROUP_NAME || '/aws/lambda/' + shared.functionName;
  shared.logStreamName = process.env.AWS_LAMBDA_LOG_STREAM_NAME || '';
  shared.arn = init.arn || '';
}

const kCall = Symbol('call');
const kFinish = Symbol('finish');

// The handler's second argument. Values are computed when asked for: most handlers ask for none.
class Context {
  constructor(call, finish) {
    this.callbackWaitsForEmptyEventLoop = true;
    this[kCall] = call;
    this[kFinish] = finish; // (error, value)
  }
  get functionName() { return shared.functionName; }
  get functionVersion() { return shared.functionVersion; }
  get memoryLimitInMB() { return shared.memoryLimitInMB; }
  get logGroupName() { return shared.logGroupName; }
  get logStreamName() { return shared.logStreamName; }
  get awsRequestId() { return requestIdText(this[kCall]); }
  get invokedFunctionArn() { return extra(this[kCall], 'arn') || shared.arn; }
  get clientContext() { return extra(this[kCall], 'clientContext'); }
  get identity() { return undefined; }
  get logger() { return console; }
  getRemainingTimeInMillis() {
    const now = process.hrtime(); // CLOCK_MONOTONIC, as the deadline is; performance.now() counts from the start of the process
    return Math.max(0, Math.floor(deadlineUs(this[kCall]) / 1000 - now[0] * 1000 - now[1] / 1e6));
  }
  done(error, value) { this[kFinish](error, value); }
  succeed(value) { this[kFinish](null, value); }
  fail(error) { this[kFinish](error === undefined || error === null ? new Error('handled') : error); }
  toJSON() {
    return {
      callbackWaitsForEmptyEventLoop: this.callbackWaitsForEmptyEventLoop,
      functionName: this.functionName, functionVersion: this.functionVersion, memoryLimitInMB: this.memoryLimitInMB,
      logGroupName: this.logGroupName, logStreamName: this.logStreamName, awsRequestId: this.awsRequestId,
      invokedFunctionArn: this.invokedFunctionArn, clientContext: this.clientContext,
    };
  }
  [Symbol.for('nodejs.util.inspect.custom')]() { return this.toJSON(); }
}

function deadlineUs(call) {
  return (call.deadlineLow >>> 0) + call.deadlineHigh * 4294967296;
}

// The id of a call as text. Its words hold the id's bytes in little-endian order.
function requestIdText(call) {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(call.id0, 0);
  bytes.writeInt32LE(call.id1, 4);
  bytes.writeInt32LE(call.id2, 8);
  bytes.writeInt32LE(call.id3, 12);
  const hex = bytes.toString('hex');
  return hex.slice(0, 8) + '-' + hex.slice(8, 12) + '-' + hex.slice(12, 16) + '-' + hex.slice(16, 20) + '-' + hex.slice(20);
}

function extra(call, name) {
  if (call.extension === '') return undefined;
  try {
    return JSON.parse(call.extension)[name];
  } catch (error) {
    return undefined;
  }
}

// ---- errors

// Error JSON for whatever a handler threw or rejected with: Lambda's `trace`, and `stackTrace` without the line of the message.
function errorObject(error, kind) {
  let type = kind, message = '', stack = [];
  if (isError(error)) {
    type = kind || String(error.name || 'Error');
    message = textOf(error.message);
    stack = textOf(error.stack).split('\n').filter(function (line) { return !isFrame(line) || line.indexOf(CACHE_FILE) < 0; });
    stack = stack.slice(0, Math.min(STACK_MAX, ownFrames(stack)));
  } else {
    type = kind || typeof error;
    message = error !== null && typeof error === 'object' ? inspect(error) : textOf(error);
  }
  if (message.length > MESSAGE_MAX) message = message.slice(0, MESSAGE_MAX) + ' (cut)';
  const frames = stack.filter(isFrame).map(function (line) { return line.trim(); });
  return { errorType: type, errorMessage: message, trace: stack, stackTrace: frames };
}

// How many lines of a stack come before the shim's first frame: it, and what lies below, say nothing to the function's author.
function ownFrames(stack) {
  const first = stack.findIndex(function (line) {
    return isFrame(line) && SHIM_FILES.some(function (file) { return line.indexOf(file) >= 0; });
  });
  return first < 0 ? stack.length : first;
}

function isFrame(line) {
  return /^\s+at /.test(line);
}

function isError(value) {
  return value instanceof Error || (value !== null && typeof value === 'object' && typeof value.message === 'string' && typeof value.stack === 'string');
}

function textOf(value) {
  try {
    return String(value);
  } catch (error) {
    return '';
  }
}

function inspect(value) {
  try {
    return JSON.stringify(value);
  } catch (error) {
    return textOf(value);
  }
}

function typed(kind, message) {
  const error = new Error(message);
  error.name = kind;
  error.stack = kind + ': ' + message;
  return error;
}

// The error's lines for the log. V8's stack begins with the name that the error had when it was made, and a syntax error's with its place.
function describe(report) {
  const head = report.errorType + ': ' + report.errorMessage;
  const stack = report.trace.join('\n');
  if (stack.startsWith(head)) return '[ERROR] ' + stack;
  const frames = /:\d+$/.test(report.trace[0] || '') ? report.trace : report.trace.filter(isFrame);
  return ['[ERROR] ' + head].concat(frames).join('\n');
}

function cut(lines, chars) {
  return lines.length > 0 ? lines.join('\n').slice(0, chars).split('\n') : [];
}

// The same report, small enough for one frame whatever JSON makes of its characters.
function shorten(report) {
  const short = Object.assign({}, report);
  short.errorType = report.errorType.slice(0, 256);
  if (report.errorMessage.length > SHORT_CHARS) short.errorMessage = report.errorMessage.slice(0, SHORT_CHARS) + ' (cut)';
  short.trace = cut(report.trace, SHORT_CHARS);
  short.stackTrace = cut(report.stackTrace, SHORT_CHARS / 2);
  return short;
}

// ---- loading

// "dir/index.handler" is property `handler` of dir/index, "index.a.b" is property b of a: the first dot of the last path part divides.
function split(name) {
  const slash = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', slash);
  if (dot <= slash || dot === name.length - 1 || name.indexOf('..') >= 0) {
    throw typed('Runtime.MalformedHandlerName', "Bad handler '" + name + "': it must be FILE.FUNCTION");
  }
  return { file: name.slice(0, dot), names: name.slice(dot + 1).split('.') };
}

// What lies at a path, or undefined; in a Node that can't do it cheaper (before 14.17), by way of an error.
function stat(path) {
  try {
    return fs.statSync(path, QUIET);
  } catch (error) {
    return undefined;
  }
}

function findFile(base) {
  for (const extension of EXTENSIONS) {
    const found = stat(base + extension);
    if (found !== undefined && found.isFile()) return base + extension;
  }
  return null;
}

function isModule(file) {
  if (file.endsWith('.mjs')) return true;
  if (!file.endsWith('.js')) return false;
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const text = readText(path.join(folder, 'package.json'));
    if (text !== null) return /"type"\s*:\s*"module"/.test(text) && JSON.parse(text).type === 'module';
    if (folder === path.dirname(folder) || path.basename(folder) === 'node_modules') return false;
  }
}

function readText(file) {
  if (stat(file) === undefined) return null; // asked for first: making an error costs more than all else here
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    return null;
  }
}

// Resolves to the handler; rejects with an error whose name is the errorType. CommonJS never goes through import(), which is slower.
async function load(root, name) {
  const target = split(name);
  const file = findFile(path.resolve(root, target.file));
  if (file === null) {
    throw typed('Runtime.ImportModuleError', "Error: Cannot find module '" + target.file + "' in " + root);
  }
  let exported;
  try {
    exported = isModule(file) ? await loadModule(file) : require(file);
  } catch (error) {
    throw loadError(error);
  }
  let handler = pick(exported, target.names);
  if (handler === undefined && exported && exported.default) handler = pick(exported.default, target.names);
  if (typeof handler !== 'function') {
    const what = handler === undefined || handler === null ? ' is undefined or not exported' : ' is not a function';
    throw typed('Runtime.HandlerNotFound', name + what);
  }
  return handler;
}

// A Node whose require() takes ES modules (20.19) reads them at once; import() goes to the thread pool three times a file. Only modules that
// wait while they are loaded can't be had so; they say so before any of their code has run.
async function loadModule(file) {
  if (!modulesWork()) {
    throw typed('Runtime.ImportModuleError', 'ES modules need Node 12.17 or later, and this is ' + process.versions.node + ': write ' +
      path.basename(file) + ' as CommonJS, or choose a later runtime');
  }
  if (process.features.require_module) {
    try {
      return require(file);
    } catch (error) {
      if (!error || error.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    }
  }
  return import(url.pathToFileURL(file).href);
}

// Without a flag, that is.
function modulesWork() {
  const version = process.versions.node.split('.').map(Number);
  return version[0] > 13 || (version[0] === 13 && version[1] >= 2) || (version[0] === 12 && version[1] >= 17);
}

function loadError(error) {
  if (error instanceof SyntaxError) {
    const located = error;
    located.name = 'Runtime.UserCodeSyntaxError';
    const place = /^((?:file:\/\/)?\/[^\n]*:\d+)\n/.exec(textOf(error.stack));
    located.message = 'SyntaxError: ' + error.message + (place ? ' (' + place[1] + ')' : '');
    return located;
  }
  if (isError(error) && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
    error.name = 'Runtime.ImportModuleError';
    error.message = 'Error: ' + error.message;
  }
  return error;
}

function pick(object, names) {
  for (const name of names) {
    if (object === undefined || object === null) return undefined;
    object = object[name];
  }
  return object;
}

module.exports = { configure, shared, Context, requestIdText, errorObject, typed, describe, shorten, load, extra };
