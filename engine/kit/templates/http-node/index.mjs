// Answers HTTP requests: GET /?name=you.
const reply = (statusCode, value) => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});

export const handler = async (event) => {
  if (event.rawPath !== '/') return reply(404, { error: 'there is nothing at this path' });
  const name = event.queryStringParameters?.name ?? 'world';
  console.log(`greeting ${name}`);
  return reply(200, { message: `Hello ${name}` });
};
