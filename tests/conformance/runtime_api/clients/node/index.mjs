// As clients/python/app.py.
if (process.env.FAIL_INIT) throw new Error('the init was told to fail');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const echo = (event, context) => ({
  event, request_id: context.awsRequestId, arn: context.invokedFunctionArn, left_ms: context.getRemainingTimeInMillis(),
  name: process.env.AWS_LAMBDA_FUNCTION_NAME, handler: process.env._HANDLER, trace: process.env._X_AMZN_TRACE_ID || '',
  client: context.clientContext ? context.clientContext.custom : null, pid: process.pid,
});

export const handler = async (event, context) => {
  if (event.do === 'error') throw new TypeError('an error with ü');
  if (event.do === 'exit') process.exit(3);
  if (event.do === 'large') return 'x'.repeat(event.bytes);
  if (event.do === 'sleep') await sleep(event.ms);
  console.error('a line of', context.awsRequestId);
  return echo(event, context);
};

// What a function URL asks: the query says what to stream.
export const stream = awslambda.streamifyResponse(async (event, out) => {
  const { parts = 3, ms = 0, fail } = event.queryStringParameters || event;
  const body = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { 'x-mine': 'yes', 'content-type': 'text/plain' } });
  for (let i = 0; i < Number(parts); ++i) {
    body.write(`part ${i}\n`);
    await sleep(Number(ms));
  }
  if (fail) throw new RangeError('in the midst of it');
  body.end();
});
