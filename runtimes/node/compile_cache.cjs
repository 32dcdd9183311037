'use strict';
// What V8 has compiled of a function's large CommonJS sources: made by the first worker of a revision while it loads the handler, kept by
// the engine, used by the later ones (CACHE in ../protocol.md). Node's own loader compiles everything else, and these as well after READY.
//
// V8 believes what it is given: beside its own version and flags it looks at the source's length only. So an entry is used only for the
// very text that it was made of, and if its bytes are those that were sent; whoever sent them ran with the rights that this worker has.
const Module = require('module');
const path = require('path');
const vm = require('vm');

const LEAST_CHARS = 65536; // below that, compiling takes no longer than this does
const MOST_SOURCES = 64;
const PART_BYTES = 65536;
const MAGIC = 0x31434348;
const HEAD_BYTES = 8; // magic, number of sources
const ENTRY_BYTES = 24; // name's bytes, source's characters, source's sum, data's bytes, data's sum, 0
const ALIGN = 8; // V8 copies what is not aligned
const USED = 1, REJECTED = 2; // READY's aux
// Code out of a cache has lost the loader that import() asks for. What may be one, be it in a string for eval, stays Node's.
const IMPORT_CALL = /import\s*[(/]/;

const Script = vm.Script;
const WRAPPED = Module.wrap('');
// On a line of its own, before the first one: lines and columns stay those of the file.
const OPEN = '(function (exports, require, module, __filename, __dirname) {\n', CLOSE = '\n})';
const LINE_OFFSET = -1;
// Node's mark of a module that is being executed, for cycles with ES modules.
const EXECUTING = Object.getOwnPropertySymbols(module).find(function (symbol) { return String(symbol) === 'Symbol(kIsExecuting)'; });

let original = null; // Module.prototype._compile, while it is replaced
let loading = null; // {given, ceiling, sources, verdict} between begin() and end()
let parts = []; // of the cache that the engine sends
let complete = false;

// The next bytes of the revision's cache, which stay the caller's.
function receive(bytes, more) {
  parts.push(Buffer.from(bytes));
  complete = !more;
}

// To be called before the handler is loaded. `ceiling`: how many bytes a cache may have that is made; 0 = none is wanted.
function begin(ceiling) {
  const received = parts;
  parts = [];
  if (received.length === 0 && !(ceiling > 0)) return;
  const given = received.length === 0 ? null : complete ? parse(Buffer.concat(received)) : undefined;
  loading = { given: given || null, ceiling: ceiling, sources: [], verdict: given === undefined ? REJECTED : 0 };
  if (given === undefined) return;
  original = Module.prototype._compile;
  Module.prototype._compile = _compile;
}

// To be called when the handler was loaded, or could not be. Returns what READY says of the cache, and the parts of the one that was made.
function end() {
  const ended = loading;
  loading = null;
  if (original !== null && Module.prototype._compile === _compile) Module.prototype._compile = original;
  if (ended === null) return { verdict: 0, parts: [] };
  const made = ended.ceiling > 0 && ended.given === null ? serialize(ended.sources, ended.ceiling) : null;
  const cut = [];
  for (let at = 0; made !== null && at < made.length; at += PART_BYTES) cut.push(made.subarray(at, at + PART_BYTES));
  return { verdict: ended.verdict, parts: cut };
}

// ---- in the loader

// Takes the place of Module.prototype._compile, whose name it has for the sake of stack traces.
function _compile(content, filename, format) {
  const script = loading === null ? null : compile(content, filename, format);
  if (script === null) return Reflect.apply(original, this, arguments);
  const require = requireOf(this);
  if (EXECUTING !== undefined) this[EXECUTING] = true;
  const result = Reflect.apply(script.runInThisContext(), this.exports, [this.exports, require, this, filename, path.dirname(filename)]);
  if (EXECUTING !== undefined) this[EXECUTING] = false;
  return result;
}

// The script of a large CommonJS source, or null: then it is Node's loader's.
function compile(content, filename, format) {
  if (typeof content !== 'string' || content.length < LEAST_CHARS) return null;
  if (typeof filename !== 'string' || !path.isAbsolute(filename) || (format !== undefined && format !== 'commonjs')) return null;
  if (typeof require('zlib').crc32 !== 'function') return null; // Node before 20.15; loaded here since small functions are not to wait for it
  // Node's loader would use another wrapper, or keep the source's map.
  if (Module.wrap('') !== WRAPPED || process.sourceMapsEnabled || IMPORT_CALL.test(content)) return null;
  try {
    return loading.given !== null ? compileWith(loading.given.get(filename), content, filename) : compileAndKeep(content, filename);
  } catch (error) {
    return null; // a syntax error, or an ES module: Node's loader finds it again, and says so in its own way
  }
}

function scriptOf(content, filename, data) {
  const options = { filename: filename, lineOffset: LINE_OFFSET };
  if (data !== undefined) options.cachedData = data;
  return new Script(OPEN + content + CLOSE, options);
}

function compileWith(entry, content, filename) {
  if (entry === undefined || entry.chars !== content.length || entry.sum !== sum(content)) return null;
  if (entry.dataSum !== sum(entry.data)) {
    loading.verdict |= REJECTED;
    return null;
  }
  const script = scriptOf(content, filename, entry.data);
  loading.verdict |= script.cachedDataRejected ? REJECTED : USED;
  return script;
}

// With what is compiled until the handler is loaded a cache may be several times as large as its source, without it half as large: that is
// made ahead where the whole may be too much.
function compileAndKeep(content, filename) {
  if (loading.sources.length === MOST_SOURCES) return null;
  const script = scriptOf(content, filename, undefined);
  const early = content.length > loading.ceiling / 4 ? script.createCachedData() : null;
  loading.sources.push({ filename: filename, chars: content.length, sum: sum(content), script: script, early: early });
  return script;
}

function sum(data) {
  return require('zlib').crc32(data);
}

// The function that Node's loader would give the module.
function requireOf(mod) {
  function require(path) {
    return mod.require(path);
  }
  function resolve(request, options) {
    return Module._resolveFilename(request, mod, false, options);
  }
  function paths(request) {
    return Module._resolveLookupPaths(request, mod);
  }
  require.resolve = resolve;
  resolve.paths = paths;
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

// ---- as bytes

function aligned(size) {
  return Math.ceil(size / ALIGN) * ALIGN;
}

// All sources of which the cache fits into `ceiling` bytes; null without any.
function serialize(sources, ceiling) {
  const pieces = [];
  let left = ceiling - HEAD_BYTES;
  let count = 0;
  sources.forEach(function (source) {
    const name = Buffer.from(source.filename);
    const room = left - ENTRY_BYTES - aligned(name.length);
    let data = source.script.createCachedData();
    if (aligned(data.length) > room) data = source.early;
    if (data === null || data.length === 0 || aligned(data.length) > room) return;
    const entry = Buffer.alloc(ENTRY_BYTES + aligned(name.length));
    [name.length, source.chars, source.sum, data.length, sum(data)].forEach(function (value, i) { entry.writeUInt32LE(value, i * 4); });
    name.copy(entry, ENTRY_BYTES);
    pieces.push(entry, data, Buffer.alloc(aligned(data.length) - data.length));
    left = room - aligned(data.length);
    count++;
  });
  if (count === 0) return null;
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(count, 4);
  return Buffer.concat([head].concat(pieces));
}

// Entries by the file's name; undefined when the bytes are not what serialize() gives.
function parse(bytes) {
  if (bytes.length < HEAD_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const entries = new Map();
  let at = HEAD_BYTES;
  for (let count = bytes.readUInt32LE(4); count > 0; count--) {
    if (bytes.length - at < ENTRY_BYTES) return undefined;
    const word = function (i) { return bytes.readUInt32LE(at + i * 4); };
    const name = at + ENTRY_BYTES, data = name + aligned(word(0)), after = data + aligned(word(3));
    if (after > bytes.length) return undefined;
    const entry = { chars: word(1), sum: word(2), data: bytes.subarray(data, data + word(3)), dataSum: word(4) };
    entries.set(bytes.toString('utf8', name, name + word(0)), entry);
    at = after;
  }
  return at === bytes.length ? entries : undefined;
}

module.exports = { LEAST_CHARS, USED, REJECTED, receive, begin, end };
