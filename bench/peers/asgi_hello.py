"""The peer for Python: a raw ASGI application (no framework), served by uvicorn with uvloop and httptools.

    python3 asgi_hello.py PORT
"""
import json
import sys

import uvicorn

START = {"type": "http.response.start", "status": 200}
JSON_TYPE = (b"content-type", b"application/json")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    reply = json.dumps({"message": "Hello " + json.loads(body)["name"]}).encode()
    await send({**START, "headers": [JSON_TYPE, (b"content-length", str(len(reply)).encode())]})
    await send({"type": "http.response.body", "body": reply})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
                log_level="error", access_log=False, lifespan="off")
