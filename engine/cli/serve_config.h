// hearth.yaml and the options of `hearth serve`, put together.
#pragma once
#include <string>

#include "base/result.h"
#include "cli/options.h"
#include "config/config.h"

namespace hearth::cli {

// The configuration with the options on top, state_dir filled in and absolute. Errors:
// config_invalid, listen_not_allowed, io_failed as config_invalid: each names the option or the
// key.
Result<Config> serve_config(const ServeOptions& options, bool as_root);

// /var/lib/hearth for root, else $XDG_STATE_HOME/hearth, else $HOME/.local/state/hearth. Errors:
// config_invalid: neither is set.
Result<std::string> default_state_dir(bool as_root);

// STATE/listen holds the address in use, as "127.0.0.1:4327" and a newline, while the daemon is
// ready.
std::string listen_file(const std::string& state_dir);
// Replaces it in one step: a reader sees all of it or none. Errors: state_unusable.
Status write_listen_file(const std::string& state_dir, const std::string& address);

}  // namespace hearth::cli
