"""The dummy function that a booting worker loads and calls, so that the first real call meets warm paths."""
import logging


def handler(event, context):
    if event.get("fail"):
        raise ValueError("exercise")
    print("exercise", end="")
    logging.getLogger().warning("exercise")
    return {"message": "Hello " + event.get("name", ""), "id": context.aws_request_id, "left": context.get_remaining_time_in_millis() > 0}
