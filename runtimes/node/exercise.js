'use strict';
// The dummy function that a booting worker loads and calls, so that the first real call meets warm paths.
exports.handler = async function (event, context) {
  if (event.fail) throw new TypeError('exercise');
  if (event.print) console.log('exercise', context.awsRequestId);
  return { message: 'Hello ' + event.name, left: context.getRemainingTimeInMillis() > 0 };
};
