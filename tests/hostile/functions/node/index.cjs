// Runs the attack that the test sends: the body of an async function (event, context, require) that returns its outcome.
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

exports.handler = (event, context) => new AsyncFunction('event', 'context', 'require', event.attack)(event, context, require);
