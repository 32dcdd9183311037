const ready = await Promise.resolve('waited');
globalThis.loads = (globalThis.loads || 0) + 1;
export const handler = async () => ({ ready, loads: globalThis.loads });
