"""Reads its settings from the environment, and logs in each of the ways that Python has."""
import logging
import os
import sys

log = logging.getLogger()
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))
loaded = 0


def handler(event, context):
    global loaded
    loaded += 1
    name = event.get("name", "world")
    print(f"call {loaded} of this worker")
    print("this goes to stderr", file=sys.stderr)
    log.info("greeting %s with %d ms left", name, context.get_remaining_time_in_millis())
    return {
        "message": f"{os.environ['GREETING']}, {name}",
        "request_id": context.aws_request_id,
        "function": context.function_name,
    }
