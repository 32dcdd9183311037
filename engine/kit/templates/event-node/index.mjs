// Handles an event: a CloudEvent that tells of an order.
export const handler = async (event) => {
  const order = event.data?.order;
  // What is thrown here is what the caller is told.
  if (!order) throw new TypeError('the event has no data.order');
  console.log(`order ${order} accepted`);
  return { order, accepted: true };
};
