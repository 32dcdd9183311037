export const handler = async (event, context) => {
  console.log(`greeting ${event.name} as ${context.functionName}`);
  return { message: 'Hello ' + event.name };
};
