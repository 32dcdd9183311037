// Tests of greet/, called in a real worker.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FunctionFailed, Hearth, Refused } from "./hearth.mjs";

let hearth;
let greet;

before(async () => {
  hearth = await Hearth.start();
  greet = await hearth.load(fileURLToPath(new URL("greet", import.meta.url)));
});
after(() => hearth?.stop());

test("greets by name", async () => {
  assert.deepEqual(await greet({ name: "you" }), { message: "Hello you" });
});

test("an event that is null is a TypeError", async () => {
  await assert.rejects(greet(null), (error) => error instanceof FunctionFailed && error.type === "TypeError");
});

test("an unknown function is refused", async () => {
  await assert.rejects(hearth.invoke("nobody", {}), (error) => error instanceof Refused && error.status === 404);
});
