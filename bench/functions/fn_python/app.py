import json


def handler(event, context):
    return {"message": "Hello " + json.loads(event["body"])["name"]}
