"""A function URL: paths, query, cookies, a binary reply.

Event and reply have the shape of API Gateway's payload format 2.0.
"""
import base64
import json
import struct
import zlib

COUNTER = "visits"


def handler(event, context):
    routes = {"/": visits, "/echo": echo, "/pixel.png": pixel}
    route = routes.get(event["rawPath"])
    if route is None:
        return reply(404, {"error": "no such page", "path": event["rawPath"]})
    return route(event)


def visits(event):
    """Counts a browser's visits in a cookie."""
    cookies = dict(c.split("=", 1) for c in event.get("cookies", []) if "=" in c)
    seen = cookies.get(COUNTER, "0")
    count = int(seen) + 1 if seen.isdigit() else 1
    return {
        "statusCode": 200,
        "headers": {"content-type": "text/html; charset=utf-8"},
        "cookies": [f"{COUNTER}={count}; Path=/; HttpOnly; SameSite=Lax"],
        "body": f"<!doctype html><title>Hearth</title><p>Visit number {count}. <img src='pixel.png' alt=''>",
    }


def echo(event):
    """Shows what a function sees of a request."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode("utf-8", "replace")
    http = event["requestContext"]["http"]
    return reply(200, {
        "method": http["method"],
        "path": event["rawPath"],
        "query": event.get("queryStringParameters") or {},
        "cookies": event.get("cookies") or [],
        "body": body,
    })


def pixel(event):
    """One red pixel, as a PNG: a binary body travels as base64."""
    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    image = (b"\x89PNG\r\n\x1a\n"
             + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
             + chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
             + chunk(b"IEND", b""))
    return {
        "statusCode": 200,
        "headers": {"content-type": "image/png", "cache-control": "max-age=60"},
        "body": base64.b64encode(image).decode("ascii"),
        "isBase64Encoded": True,
    }


def reply(status, value):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(value),
    }
