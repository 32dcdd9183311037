// The command line as plain data. options.cc is the only file that includes CLI11.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "cli/output.h"

namespace hearth::cli {

inline constexpr const char* kDefaultServer = "http://127.0.0.1:4327";

// Of every command that talks to a daemon.
struct RemoteOptions {
  std::string server = kDefaultServer;  // --server, else HEARTH_SERVER
  bool json = false;                    // --json
};

struct ServeOptions {
  std::string config;                // --config; empty: none
  std::string state;                 // --state; empty: hearth.yaml's, else default_state_dir()
  std::string listen;                // --listen; empty: hearth.yaml's
  std::string sandbox;               // --sandbox; empty: hearth.yaml's
  bool know_this_is_unsafe = false;  // --i-know-this-is-unsafe
};
struct DeployOptions : RemoteOptions {
  std::vector<std::string> folders;
};
struct InvokeOptions : RemoteOptions {
  std::string name;
  std::string data = "{}";  // --data: JSON, @FILE, or - for stdin
  bool log_tail = false;    // --log-tail
  std::string local;        // --local: a function's folder, called without a daemon
  std::string event;        // --event: FILE, - or a sample event's name; wins over --data
  std::string sandbox;      // --sandbox, with --local
  bool know_this_is_unsafe = false;
  std::string env_file;          // --env, with --local
  milliseconds wait{1'000'000};  // --wait: the longest wait for an answer
};
struct DevOptions {
  std::string folder = ".";
  uint16_t port = 4327;          // --port
  uint16_t debug_port = 0;       // --debug; 0: none
  std::string sandbox = "auto";  // --sandbox
  bool know_this_is_unsafe = false;
  std::string env_file;  // --env
  bool json = false;     // --json
};
struct ListOptions : RemoteOptions {};
struct DeleteOptions : RemoteOptions {
  std::string name;
};
struct LogsOptions : RemoteOptions {
  std::string name;
  std::string request_id;  // --request
  bool follow = false;     // --follow
};
struct DoctorOptions : RemoteOptions {
  std::string config;  // --config: whose runtimes.* and sandbox.* to look at
};
struct VersionOptions : RemoteOptions {};
struct NewOptions {
  std::string name;    // of the template
  std::string folder;  // both may be empty with `list`
  bool list = false;   // --list
  bool json = false;   // --json
};
struct EventOptions {
  std::string name;                           // empty with `list`
  std::map<std::string, std::string> fields;  // "method": what --method says; the names are those
                                              // of kit::event_fields()
  bool list = false;                          // --list
  bool json = false;                          // --json
};
struct CompletionOptions {
  std::string shell;                    // or
  std::string names;                    // --names
  std::string server = kDefaultServer;  // --server, else HEARTH_SERVER
};

// The parser has printed what there was to print (help, or what is wrong); only the exit code is
// left.
struct Done {
  Exit exit = Exit::ok;
};

using Command = std::variant<Done, ServeOptions, DevOptions, DeployOptions, InvokeOptions,
                             ListOptions, DeleteOptions, LogsOptions, DoctorOptions, VersionOptions,
                             NewOptions, EventOptions, CompletionOptions>;

// `arguments` is argv without the program's name. Never throws; --help and errors go to `output`.
Command parse_command_line(const std::vector<std::string>& arguments, Output& output);

}  // namespace hearth::cli
