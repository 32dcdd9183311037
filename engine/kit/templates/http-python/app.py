"""Answers HTTP requests: GET /?name=you."""
import json


def handler(event, context):
    if event["rawPath"] != "/":
        return reply(404, {"error": "there is nothing at this path"})
    name = event.get("queryStringParameters", {}).get("name", "world")
    print("greeting", name)
    return reply(200, {"message": f"Hello {name}"})


def reply(status, value):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(value),
    }
