"""What each client's function does, by event["do"]. The other clients do the same in their languages."""
import os
import sys
import time

if os.environ.get("FAIL_INIT"):
    raise RuntimeError("the init was told to fail")


def echo(event, context):
    return {"event": event, "request_id": context.aws_request_id, "arn": context.invoked_function_arn, "left_ms": context.get_remaining_time_in_millis(),
            "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"], "handler": os.environ["_HANDLER"], "trace": os.environ.get("_X_AMZN_TRACE_ID", ""),
            "client": (context.client_context.custom if context.client_context else None), "pid": os.getpid()}


def handler(event, context):
    do = event["do"]
    if do == "error":
        raise ValueError("an error with ü")
    if do == "exit":
        os._exit(3)
    if do == "large":
        return "x" * event["bytes"]
    if do == "sleep":
        time.sleep(event["ms"] / 1000)
    print("a line of", context.aws_request_id, file=sys.stderr)
    return echo(event, context)
