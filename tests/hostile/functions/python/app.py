"""Runs the attack that the test sends: Python source that leaves its outcome in `result`. What the attack may use: `event`, `context`."""


def handler(event, context):
    scope = {"event": event, "context": context, "__name__": "attack"}
    exec(compile(event["attack"], "attack.py", "exec"), scope)  # pylint: disable=exec-used
    return scope.get("result")
