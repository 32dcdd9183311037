// Calls functions from Node's tests, in the workers and the sandbox that they have in production. Starts a daemon of its own as a child.
// HEARTH names the program (default: hearth on PATH). Copy this file into a project's tests.
import { execFile, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const program = process.env.HEARTH ?? "hearth";
const START_MS = 30_000;
const STOP_MS = 10_000;

// The function threw or raised: `type`, `message` and `trace` are its error's.
export class FunctionFailed extends Error {
  constructor({ errorType = "", errorMessage = "", trace, stackTrace }) {
    super(`${errorType}: ${errorMessage}`);
    this.name = "FunctionFailed";
    this.type = errorType;
    this.trace = trace ?? stackTrace ?? [];
  }
}

// The daemon's answer when the function was not reached, or not in time.
export class Refused extends Error {
  constructor(status, body) {
    super(`${status}: ${body}`);
    this.name = "Refused";
    this.status = status;
  }
}

export class Hearth {
  #child;
  #folder;
  #url;

  // Starts a daemon on a free port, with a state folder that stop() removes. sandbox: "auto", "strict", "user", "degraded".
  static async start({ sandbox = "auto" } = {}) {
    const hearth = new Hearth();
    hearth.#folder = await mkdtemp(join(tmpdir(), "hearth-test-"));
    await chmod(hearth.#folder, 0o711); // started as root, the daemon becomes another user and has to reach its state in here
    try {
      await hearth.#spawn(sandbox);
    } catch (error) {
      await hearth.stop();
      throw error;
    }
    return hearth;
  }

  async #spawn(sandbox) {
    const state = join(this.#folder, "state");
    let log = "";
    this.#child = spawn(program, ["serve", "--state", state, "--listen", "127.0.0.1:0", "--sandbox", sandbox], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child.stderr.on("data", (text) => { log = (log + text).slice(-4096); });
    let failure;
    this.#child.on("error", (error) => { failure = error; });
    const deadline = Date.now() + START_MS;
    // The daemon writes the address with its real port into its state folder when it is ready to be called.
    while (Date.now() < deadline) {
      if (failure) throw new Error(`${program} can't be started: ${failure.message}`);
      if (this.#child.exitCode !== null) throw new Error(`${program} serve ended with ${this.#child.exitCode}:\n${log}`);
      const [address] = (await readFile(join(state, "listen"), "utf8").catch(() => "")).split("\n");
      if (address && await fetch(`http://${address}/readyz`).then((reply) => reply.ok, () => false)) {
        this.#url = `http://${address}`;
        return;
      }
      await sleep(10);
    }
    throw new Error(`${program} serve was not ready after ${START_MS} ms:\n${log}`);
  }

  // The daemon's address, for tests of function URLs: `${hearth.url}/fn/NAME/`.
  get url() {
    return this.#url;
  }

  // Deploys a folder; the function is named after it. What is returned takes an event and resolves to the reply.
  async load(folder) {
    await run(program, ["deploy", resolve(folder), "--server", this.#url]);
    const name = basename(resolve(folder));
    return (event) => this.invoke(name, event);
  }

  // Throws FunctionFailed or Refused.
  async invoke(name, event) {
    const reply = await fetch(`${this.#url}/2015-03-31/functions/${encodeURIComponent(name)}/invocations`, { method: "POST", body: JSON.stringify(event) });
    const body = await reply.text();
    if (!reply.ok) throw new Refused(reply.status, body);
    if (reply.headers.has("x-amz-function-error")) throw new FunctionFailed(JSON.parse(body));
    return JSON.parse(body);
  }

  // Ends the daemon and all of its workers, and removes its folder. Never throws for a daemon that has ended already.
  async stop() {
    const child = this.#child;
    if (child?.pid && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
