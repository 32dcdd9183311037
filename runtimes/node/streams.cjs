'use strict';
// Replies that a function streams: `awslambda.streamifyResponse((event, responseStream, context) => ...)` and
// `awslambda.HttpResponseStream.from(responseStream, { statusCode, headers, cookies })`, as Lambda's Node has them (protocol.md, Streams).
const { Writable } = require('stream');
const channel = require('./channel.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming'); // Lambda's own marks: wrappers of handlers look at them
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const NO_TIME = Buffer.alloc(4); // the execution time of a stream is the engine's to find out
const NOTHING = Buffer.alloc(0);
const HEAD_MAX = channel.REPLY_PART_MAX - NO_TIME.length;

class ResponseStream extends Writable {
  constructor(call, highWaterMark, beforeEnd) {
    super(highWaterMark > 0 ? { highWaterMark: highWaterMark } : {});
    this.call = call;
    this.beforeEnd = beforeEnd;
    this.over = false; // end() was called
    this.head = NOTHING;
    this.kind = channel.BODY_FOLLOWS;
    this.begun = false; // REPLY has gone out
    this.credit = null;
  }

  setContentType(type) {
    this._announce(channel.CONTENT_TYPE, String(type));
  }

  end(chunk, encoding, done) {
    this.over = true;
    return super.end(chunk, encoding, done);
  }

  // Before the first byte of the body.
  _announce(kind, text) {
    const bytes = Buffer.from(text, 'utf8');
    if (this.begun) throw new Error('The head of the response has been sent already');
    if (bytes.length > HEAD_MAX) throw new RangeError('The head of the response is larger than ' + HEAD_MAX + ' bytes');
    this.head = bytes;
    this.kind = kind;
  }

  _write(chunk, encoding, done) {
    if (this.kind !== channel.BODY_FOLLOWS) this._begin(this.head);
    this._send(chunk, 0, done);
  }

  _final(done) {
    if (!this.begun) this._begin(this.head);
    this.beforeEnd();
    channel.endStream(this.call);
    done();
  }

  _begin(bytes) {
    if (this.begun) return;
    this.begun = true;
    this.credit = channel.openStream(this.call, this.kind, Buffer.concat([NO_TIME, bytes]));
    this.credit.left -= bytes.length;
  }

  // From `at` on, as far as the engine lets it.
  _send(chunk, at, done) {
    if (!this.begun) {
      const size = Math.min(HEAD_MAX, chunk.length);
      this._begin(chunk.slice(0, size));
      at = size;
    }
    while (at < chunk.length) {
      if (this.credit.left <= 0) {
        channel.flush();
        this.credit.wake = () => {
          this.credit.wake = nothing;
          this._send(chunk, at, done);
        };
        return;
      }
      const size = Math.min(channel.REPLY_PART_MAX, chunk.length - at, this.credit.left);
      channel.put(channel.CHUNK, channel.MORE, 0, this.call, chunk.slice(at, at + size));
      this.credit.left -= size;
      at += size;
    }
    done();
  }
}

function nothing() {}

function streamifyResponse(handler, options) {
  handler[STREAMING] = 'response';
  if (options && options.highWaterMark > 0) handler[HIGH_WATER_MARK] = Number(options.highWaterMark);
  return handler;
}

class HttpResponseStream {
  static from(stream, head) {
    stream._announce(channel.HTTP_HEAD, JSON.stringify(Object.assign({ statusCode: 200 }, head)));
    return stream;
  }
}

// What a module finds when it is loaded.
function install() {
  global.awslambda = { streamifyResponse: streamifyResponse, HttpResponseStream: HttpResponseStream };
}

function isStreaming(handler) {
  return handler[STREAMING] === 'response';
}

// `beforeEnd` runs before the last frame of the reply.
function make(handler, call, beforeEnd) {
  return new ResponseStream(call, handler[HIGH_WATER_MARK], beforeEnd);
}

module.exports = { install, isStreaming, make };
