// The longer texts of --help: what stands below the options.
#pragma once

namespace hearth::cli::help {

inline constexpr const char* kProgram =
    "Hearth runs functions: it keeps workers warm and hands each event to a confined process.";

inline constexpr const char* kProgramExamples = R"(
Make a function, start a daemon, deploy the function, call it:
  hearth new event-python hello
  hearth serve &
  hearth deploy hello
  hearth event cloudevent | hearth invoke hello --data -

Commands that talk to a daemon take --server URL, or read HEARTH_SERVER; the default is http://127.0.0.1:4327.)";

inline constexpr const char* kProgramExits = R"(
  0  done
  1  invoke: the function failed; doctor: this machine is not ready
  2  the command line, a folder or a file can't be used
  3  the daemon refused the request, or can't be reached
  4  the function, or the daemon, did not answer in time
  5  the daemon is busy: try again later
serve has codes of its own: see `hearth serve --help`.)";

inline constexpr const char* kServeFooter = R"(
Without --state, the state folder is state_dir of hearth.yaml, else /var/lib/hearth for root, else $XDG_STATE_HOME/hearth,
else ~/.local/state/hearth. It is made with mode 0700. The address in use is printed when the daemon is ready, and written to
STATE/listen; with port 0 the system chooses one.

Only loopback addresses may be listened on. To let others call functions, set http.functions_listen in hearth.yaml.

Sandbox modes: auto (strict, else user), strict, user, degraded, off. A mode that can't be met is an error that names what is
missing; degraded is taken by auto only with sandbox.allow_degraded: true in hearth.yaml. `hearth doctor` shows what works here.

SIGTERM or SIGINT: no new calls, the running ones end (limits.drain_timeout), exit 0. A second signal ends at once.

Exit codes:
  0   drained after SIGTERM or SIGINT
  1   it could not start, failed, or was told to end before the drain was over
  70  the spawner died: all workers are gone with it
  78  hearth.yaml or an option can't be used)";

inline constexpr const char* kDevFooter = R"(
Runs an engine in this process, on a temporary folder, at 127.0.0.1 only. DIR is one function's folder, or a tree in which each
folder with a function.yaml, an app.py, an index.mjs or the like is one. Saves are loaded at once; until new code has loaded, and
if it does not load, the code before goes on serving. Errors are printed with file and line.

A function is at /fn/NAME/ and http://NAME.localhost:PORT/, by Invoke, and, if it is the only one, at every other path too.
.env in a function's folder adds environment: KEY=VALUE lines, with quotes, comments and `export` as in a shell; nothing is
expanded.

  hearth dev hello
  hearth dev functions --port 8080 --env ../dev.env
  hearth dev hello --debug 9229

The sandbox is that of `hearth serve`, so that what works here works there. --debug needs Node, or debugpy in the function's
folder (pip install --target DIR debugpy), and a sandbox with namespaces; calls have no timeout then. Ctrl-C ends everything at once; a second one ends the process hard.

Exit codes: 0 ended by a signal, or by the end of what reads its output; 2 the folder or an option can't be used; 3 it could not start, or its spawner died.)";

inline constexpr const char* kDeployFooter = R"(
A function is a folder: its code, and function.yaml if the defaults don't fit.

  name: hello              # the folder's name
  runtime: python3         # python3, nodejs, native or custom, or as Lambda has it: python3.12, nodejs20.x, provided.al2023;
                           # found by the files: app.py or lambda_function.py is python3, index.mjs, index.cjs,
                           # index.js or package.json's main is nodejs, an executable bootstrap is custom
  handler: app.handler     # that file's `handler`; `lambda_handler` for lambda_function.py; native: the executable;
                           # custom: what the bootstrap makes of it
  timeout: 3s              # a bare number is seconds
  memory: 128MB            # a bare number is MB
  environment: {KEY: value}
  concurrency: 1           # calls at once in one worker; or {per_worker: 1, workers_min: 0, workers_max: N, queue: N}
  cpu: 0.5                 # CPUs; none named: no quota
  network: none
  sandbox: strict          # refuse to run in a weaker mode: degraded, user or strict
  leftovers: freeze        # children of past calls stand still; kill: end; recycle: a new worker
  recycle: {max_calls: 10000, max_age: 1h, max_rss: 200MB}   # when a worker is replaced; none named: never
  zygote: auto             # or off: init code is never shared between workers by fork
  tmp: 64MB                # size of /tmp
  init_timeout: 10s        # for loading the code, up to 15 minutes; calls wait as long
  description: what it does

Left out of the archive: .git, __pycache__, *.pyc, node_modules/.cache and .DS_Store. Symbolic links are followed inside the
folder; one that leads out of it is an error. The same files always make the same archive: deploying twice changes nothing.)";

inline constexpr const char* kInvokeFooter = R"(
Prints the function's reply. What the function logged comes with --log-tail, on stderr.

  hearth invoke hello --data '{"name": "you"}'
  hearth invoke hello --data @event.json
  generate | hearth invoke hello --data -

  hearth invoke --local hello --event cloudevent

With --json: {"status", "error", "reply", "request_id", "duration_ms"}; `error` is null or the kind of failure.
--local runs one call in the sandbox without a daemon: the reply goes to stdout, what the function writes to stderr.

Exit codes: 0 a reply; 1 the function failed (its error is printed); 2 usage; 3 refused or unreachable; 4 timed out; 5 busy.)";

inline constexpr const char* kLogsFooter = R"(
One line an event: time, the first 8 characters of the request id, text. On a terminal control characters are escaped.
With --json, one object a line: {"time", "request_id", "revision", "level", "text"}; {"lost": N} stands where lines were dropped.)";

inline constexpr const char* kDoctorFooter = R"(
Tries each sandbox mode in throwaway processes and runs each interpreter once, with the rights that it was started with: run it as
the user who is to run the daemon. If a daemon answers, shows what it has on.

What is missing is listed with the reason, with what functions do without it, and with the fix: a command to type, or a line for
hearth.yaml. The last line is the result: ready, or not and why. Exit codes: 0 ready, 1 not ready.)";

inline constexpr const char* kDeleteFooter = R"(
Asks nothing. Calls that run already end as they would have.)";

inline constexpr const char* kNewFooter = R"(
The function gets the folder's name: 1 to 64 letters, digits, '-' and '_'. The folder is made, with the folders above it; one that
is there already must be empty. Each template has a function, function.yaml, a sample event, a test and a README.

  hearth new --list
  hearth new http-python hello)";

inline constexpr const char* kEventFooter = R"(
The events have the shapes that AWS documents, and fixed times and ids, so that the same command always prints the same.
An option that an event does not know is an error; --list shows which has which.

  hearth event api-gateway-v2 --method POST --path /orders --body '{"order": "A-17"}'
  hearth event s3 --bucket photos --key 'cat 1.jpg' | hearth invoke thumbnails --data -
  hearth event kafka --topic orders --message @order.json > event.json

A TEXT may be @FILE, or - for standard input. A body or message that is not UTF-8 travels as base64, as it would in the real event.)";

inline constexpr const char* kCompletionFooter = R"(
For this shell only:       source <(hearth completion bash)        source <(hearth completion zsh)
                           hearth completion fish | source
For every new one:
  bash   hearth completion bash > ~/.local/share/bash-completion/completions/hearth
  zsh    hearth completion zsh > "${fpath[1]}/_hearth"
  fish   hearth completion fish > ~/.config/fish/completions/hearth.fish

Names of functions come from the daemon of --server or HEARTH_SERVER; without one there are none, and no error.)";

}  // namespace hearth::cli::help
