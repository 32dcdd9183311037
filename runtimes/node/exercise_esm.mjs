// The dummy ES module: the first import() of a process is slower than the next.
export const handler = async () => null;
