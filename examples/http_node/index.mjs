// A small JSON API over a function URL. What it stores lives in the memory of one warm worker, and goes with it.
const notes = new Map();
let nextId = 1;

const json = (statusCode, value) => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: value === undefined ? '' : JSON.stringify(value),
});

function readBody(event) {
  const text = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString('utf8') : event.body;
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

function createNote(event) {
  const note = readBody(event);
  if (typeof note?.text !== 'string') {
    return json(400, { error: 'send {"text": "..."}' });
  }
  const id = String(nextId++);
  notes.set(id, note.text);
  return json(201, { id, text: note.text });
}

export const handler = async (event) => {
  const { method } = event.requestContext.http;
  const [, collection, id] = event.rawPath.split('/');
  if (collection === '' && method === 'GET') {
    return { service: 'notes', routes: ['GET /notes', 'POST /notes', 'GET /notes/ID', 'DELETE /notes/ID'] };
  }
  if (collection !== 'notes') return json(404, { error: 'no such path' });
  if (id === undefined) {
    if (method === 'GET') return json(200, [...notes].map(([key, text]) => ({ id: key, text })));
    if (method === 'POST') return createNote(event);
    return json(405, { error: `${method} is not allowed here` });
  }
  if (!notes.has(id)) return json(404, { error: 'no such note' });
  if (method === 'GET') return json(200, { id, text: notes.get(id) });
  if (method === 'DELETE') {
    notes.delete(id);
    return json(204);
  }
  return json(405, { error: `${method} is not allowed here` });
};
