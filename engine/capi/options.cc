#include "capi/options.h"

#include <fmt/core.h>

#include "capi/sized_struct.h"
#include "config/config.h"

namespace hearth::capi {
namespace {

Error bad(std::string detail) { return Error{Code::config_invalid, std::move(detail)}; }

bool given(const char* text) { return text != nullptr && text[0] != '\0'; }

Result<Config> read_config(const hearth_options_t& in) {
  if (in.config_path != nullptr && in.config_yaml != nullptr)
    return bad("config_path and config_yaml are both set; one of them is enough");
  if (in.config_path != nullptr) return load_config(in.config_path);
  if (in.config_yaml != nullptr) return parse_config(in.config_yaml, "config_yaml");
  return Config{};
}

Status read_level(int32_t level, Config& config) {
  if (level == 0) return ok();
  if (level < HEARTH_LOG_DEBUG || level > HEARTH_LOG_ERROR)
    return bad(fmt::format("log_level {} is none of HEARTH_LOG_*", level));
  config.log_level = static_cast<LogLevel>(level - HEARTH_LOG_DEBUG);
  return ok();
}

}  // namespace

Result<OpenPlan> read_options(const hearth_options_t* options) {
  hearth_options_t in{};
  if (options != nullptr) {
    auto read = read_struct(options, "the options");
    if (!read) return bad(std::move(read.error().detail));
    in = *read;
  }
  if ((in.flags & ~uint32_t{HEARTH_HOST_DRIVEN | HEARTH_I_KNOW_THIS_IS_UNSAFE}) != 0)
    return bad(fmt::format("flags {:#x} are not known", in.flags));
  OpenPlan plan;
  Config& config = plan.engine.config;
  config = HEARTH_TRY(read_config(in));
  if (given(in.state_dir)) config.state_dir = in.state_dir;
  if (!config.state_dir.empty() && config.state_dir.front() != '/')
    return bad(fmt::format("state_dir '{}' is not an absolute path", config.state_dir));
  if (given(in.listen)) config.listen = in.listen;
  if (given(in.sandbox)) config.sandbox.mode = HEARTH_TRY(sandbox_mode_from_name(in.sandbox));
  HEARTH_TRY(read_level(in.log_level, config));
  HEARTH_TRY(validate(config));
  plan.engine.http = given(in.listen);
  plan.engine.ask_versions = false;
  plan.engine.off_is_understood = (in.flags & HEARTH_I_KNOW_THIS_IS_UNSAFE) != 0;
  plan.engine.on_function_line = function_log(in.function_log, in.function_log_ctx);
  plan.driver = (in.flags & HEARTH_HOST_DRIVEN) != 0 ? Driver::host : Driver::library;
  plan.log = {in.log, in.log_ctx};
  return plan;
}

}  // namespace hearth::capi
