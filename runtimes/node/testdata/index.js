// The function that the conformance tests run: what it does depends on the event's "do".
const fs = require('fs');

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const kinds = {
  async error() {
    const error = new Error('no "good"\n');
    error.name = 'ValueError';
    throw error;
  },
  sleep: () => later(600),
  nap: () => later(40),
  whirl() {
    const until = Date.now() + 40;
    while (Date.now() < until);
  },
  spin() {
    const until = Date.now() + 600;
    while (Date.now() < until);
  },
  async log() {
    console.warn('line 1\nline %d', 2);
  },
  async flood() {
    for (let i = 0; i < 20000; i++) console.log('flood %d 0123456789012345678901234567890123456789', i);
  },
  async longline() {
    console.log('a'.repeat(150000));
  },
  large: async () => 'x'.repeat(999998),
  toolarge: async () => 'x'.repeat(6 * 1024 * 1024 + 99),
  size: async (event) => event.big.length,
  context: async (event, context) => ({
    request_id: context.awsRequestId, name: context.functionName, version: context.functionVersion, arn: context.invokedFunctionArn,
    remaining: context.getRemainingTimeInMillis(), greeting: process.env.GREETING, home: 'LEFT_OVER' in process.env,
    memory: context.memoryLimitInMB, cwd: process.cwd(), spread: JSON.parse(JSON.stringify(context)).functionName,
  }),
  async exit() {
    process.exit(3);
  },
  async flood_and_exit() {
    await kinds.flood();
    process.exit(3);
  },
  async unserialisable() {
    const a = {};
    a.a = a;
    return a;
  },
  bytes: async () => Buffer.from([0, 1, 255]),
  async partial() {
    process.stdout.write('out');
    process.stderr.write('err');
  },
  extension: async (event, context) => ({
    custom: context.clientContext.custom, trace: process.env._X_AMZN_TRACE_ID, arn: context.invokedFunctionArn,
  }),
  environment: async () => Object.assign({}, process.env),
  hour: async () => new Date(0).getHours(),
  traces: async () => ({
    cached: Object.keys(require.cache).filter((file) => file.includes('exercise')),
    gc: require('vm').runInNewContext('typeof gc'),
    exercised: 'HEARTH_EXERCISE' in process.env,
  }),
  async rejection() {
    Promise.reject(new TypeError('forgotten'));
    await later(1000);
  },
  async uncaught() {
    setTimeout(() => { throw new RangeError('thrown late'); }, 1);
    await later(1000);
  },
  async delayed() {
    setTimeout(() => { throw new RangeError('thrown between calls'); }, 100);
  },
  async listener() {
    process.on('exit', () => console.log('bye'));
    process.exit(3);
  },
  async sigterm(event) {
    process.on('SIGTERM', (name, number) => {
      console.log('term ' + number);
      if (event.status !== undefined) process.exit(event.status);
    });
  },
  async crash() {
    process.reallyExit(9);
  },
  async nothing() {},
  async string() {
    throw 'a string'; // eslint-disable-line no-throw-literal
  },
  value: () => ({ plain: true }),
  async tick(event) {
    console.log('start', event.n);
    await later(event.ms);
    console.log('end', event.n);
    return event.n;
  },
  async levels() {
    console.debug('1');
    console.info('2');
    console.log('2');
    console.warn('3');
    console.error('4');
    process.stdout.write('0\n');
  },
  async child() {
    return !/ ([3-9]|\d\d+) -> socket/.test(require('child_process').execSync('ls -l /proc/self/fd').toString());
  },
  async direct() {
    fs.writeSync(1, 'direct\n');
  },
};

exports.handler = (event, context) => {
  if (event.do) return kinds[event.do](event, context);
  return Promise.resolve({ message: 'Hello ' + (event.name || 'nobody') });
};

exports.returns = (event, context, callback) => setTimeout(() => callback(null, 'called back'), 5);

const { Readable, pipeline } = typeof awslambda === 'object' ? require('stream') : {};
const streams = {
  async parts(event, stream) {
    stream.setContentType('text/plain');
    for (const part of ['one ', 'two ', 'grüße']) {
      stream.write(part);
      await later(20);
    }
    console.log('written');
    stream.end();
  },
  async head(event, stream) {
    stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'x-one': '1' }, cookies: ['a=b'] });
    stream.write('body');
    stream.end();
  },
  async size(event, stream) {
    const chunk = Buffer.alloc(event.chunk || 100000, 'x');
    for (let left = event.size; left > 0; left -= chunk.length) {
      if (!stream.write(chunk.slice(0, Math.min(left, chunk.length)))) await new Promise((resolve) => stream.once('drain', resolve));
    }
    stream.end();
  },
  async empty(event, stream) { stream.end(); },
  async forgotten(event, stream) { stream.write('never ended'); },
  async late(event, stream) { setTimeout(() => stream.end('late'), 50); },
  async after(event, stream) {
    stream.end('over');
    await later(100);
    global.after = (global.after || 0) + 1;
  },
  async count(event, stream) { stream.end(String(global.after || 0)); },
  async early(event, stream) { throw new TypeError('before the first byte'); },
  async midway(event, stream) {
    stream.write('half');
    await later(20);
    throw new RangeError('midway');
  },
  async destroyed(event, stream) {
    stream.write('half');
    await later(20);
    stream.destroy();
  },
  async exits(event, stream) {
    stream.write('half');
    await later(20);
    process.exit(3);
  },
  async piped(event, stream) {
    await new Promise((resolve, reject) => pipeline(Readable.from ? Readable.from(['a', 'b', 'c']) : new Readable({
      read() { this.push('abc'); this.push(null); },
    }), stream, (error) => (error ? reject(error) : resolve())));
  },
  sync(event, stream) { stream.end('no promise'); },
};
if (typeof awslambda === 'object') {
  exports.stream = awslambda.streamifyResponse((event, stream, context) => streams[event.do](event, stream, context), { highWaterMark: 70000 });
}

exports.nested = { handler: async () => 'nested' };

exports.callback = (event, context, callback) => {
  if (event.do === 'error') callback(new TypeError('by callback'));
  else if (event.do === 'never') setTimeout(() => {}, 20);
  else if (event.do === 'waits') {
    global.done = false;
    setTimeout(() => { global.done = true; }, 100);
    callback(null, { done: () => 0, toJSON: () => global.done });
  } else if (event.do === 'at once') {
    context.callbackWaitsForEmptyEventLoop = false;
    setTimeout(() => {}, 5000);
    callback(null, 'at once');
  } else if (event.do === 'succeed') context.succeed('succeeded');
  else setTimeout(() => callback(null, 'called back'), 5);
};
