import { value } from "./value.js";
export const handler = async () => value;
