// The commands, one file each. Every one prints through `output` and returns its exit code; none
// exits the process.
#pragma once
#include "cli/options.h"
#include "cli/output.h"

namespace hearth::cli {

Exit run_deploy(const DeployOptions& options, Output& output);
Exit run_invoke(const InvokeOptions& options, Output& output);
// What --event or --data stand for. Errors: usage, io_failed, body_too_large.
Result<std::string> event_of(const InvokeOptions& options);
// With options.local: without a daemon.
Exit run_invoke_local(const InvokeOptions& options, Output& output);
Exit run_list(const ListOptions& options, Output& output);
Exit run_delete(const DeleteOptions& options, Output& output);
Exit run_logs(const LogsOptions& options, Output& output);
Exit run_doctor(const DoctorOptions& options, Output& output);
Exit run_version(const VersionOptions& options, Output& output);
Exit run_new(const NewOptions& options, Output& output);
Exit run_event(const EventOptions& options, Output& output);
Exit run_completion(const CompletionOptions& options, Output& output);
// Its exit codes are kServe* or 0. Installs signal handlers: the process is the daemon from here
// on.
int run_serve(const ServeOptions& options, Output& output);

// Until a signal ends it. Installs signal handlers, as run_serve does.
Exit run_dev(const DevOptions& options, Output& output);

// Parses and runs; `arguments` is argv without the program's name. What main() returns.
int run(const std::vector<std::string>& arguments, Output& output);

}  // namespace hearth::cli
