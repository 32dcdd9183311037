"""Handles an event: a CloudEvent that tells of an order."""


def handler(event, context):
    order = event.get("data", {}).get("order")
    if not order:
        # What is raised here is what the caller is told.
        raise ValueError("the event has no data.order")
    print(f"order {order} accepted")
    return {"order": order, "accepted": True}
