// The longer texts of --help: what stands below the options.
#pragma once

namespace hearth::cli::help {

inline constexpr const char* kProgram =
    "Hearth runs functions: it keeps workers warm and hands each event to a confined process.";

inline constexpr const char* kProgramFooter = R"(
Start a daemon, deploy a folder, call it:
  hearth serve &
  hearth deploy examples/hello_python
  hearth invoke hello_python --data '{"name": "you"}'

Commands that talk to a daemon take --server URL, or read HEARTH_SERVER; the default is http://127.0.0.1:4327.

Exit codes:
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

inline constexpr const char* kDeployFooter = R"(
A function is a folder: its code, and function.yaml if the defaults don't fit.

  name: hello              # the folder's name
  runtime: python3         # python3, nodejs or native; found by the files: app.py or lambda_function.py is python3,
                           # index.mjs, index.cjs, index.js or package.json's main is nodejs
  handler: app.handler     # that file's `handler`; `lambda_handler` for lambda_function.py; native: the executable
  timeout: 3s              # a bare number is seconds
  memory: 128MB            # a bare number is MB
  environment: {KEY: value}
  concurrency: 1           # calls at once in one worker; or {per_worker: 1, workers_min: 0, workers_max: N, queue: N}
  network: none
  description: what it does

Left out of the archive: .git, __pycache__, *.pyc, node_modules/.cache and .DS_Store. Symbolic links are followed inside the
folder; one that leads out of it is an error. The same files always make the same archive: deploying twice changes nothing.)";

inline constexpr const char* kInvokeFooter = R"(
Prints the function's reply. What the function logged comes with --log-tail, on stderr.

  hearth invoke hello --data '{"name": "you"}'
  hearth invoke hello --data @event.json
  generate | hearth invoke hello --data -

With --json: {"status", "error", "reply", "request_id", "duration_ms"}; `error` is null or the kind of failure.

Exit codes: 0 a reply; 1 the function failed (its error is printed); 2 usage; 3 refused or unreachable; 4 timed out; 5 busy.)";

inline constexpr const char* kLogsFooter = R"(
One line an event: time, the first 8 characters of the request id, text. On a terminal control characters are escaped.
With --json, one object a line: {"time", "request_id", "revision", "level", "text"}; {"lost": N} stands where lines were dropped.)";

inline constexpr const char* kDoctorFooter = R"(
Tries each sandbox mode in throwaway processes and runs each interpreter once. If a daemon answers, shows what it has on.
The last line is the result. Exit codes: 0 ready, 1 not ready.)";

inline constexpr const char* kDeleteFooter = R"(
Asks nothing. Calls that run already end as they would have.)";

}  // namespace hearth::cli::help
