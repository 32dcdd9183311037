PRICES = {"tea": 2.5, "salt": 0.8}


def handler(event, context):
    return {"item": event["item"], "total": PRICES[event["item"]] * event["count"]}
