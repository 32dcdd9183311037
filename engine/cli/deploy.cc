// hearth deploy: folders -> functions. Only what changed is sent.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/base64.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/folder_advice.h"
#include "cli/function_json.h"
#include "config/manifest.h"
#include "core/pool_key.h"
#include "package/archive.h"
#include "store/digest.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

constexpr const char* kFunctions = "/2015-03-31/functions";
constexpr milliseconds kPollEvery{100};
constexpr milliseconds kPollMax{60'000};

struct Deployment {
  FunctionSpec spec;
  Archive archive;
  std::string sha256_base64;
};

// What happened to one folder.
struct Deployed {
  std::string name;
  std::string action;  // created, updated, unchanged
  std::string revision;
  std::string short_revision;
  std::string url;
  std::string fresh_start;  // why no parked worker fits it, or empty
  std::string substituted;  // substitution_note()
  milliseconds took{0};
};

std::string sha256_base64(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return base64_of_hex(to_hex(hash.finish()));
}

Result<Deployment> read_folder(const std::string& folder) {
  Deployment d;
  d.spec = HEARTH_TRY(load_function(folder));
  d.archive = HEARTH_TRY(pack_folder(folder));
  d.sha256_base64 = sha256_base64(d.archive.zip);
  return d;
}

class Deployer {
 public:
  Deployer(Daemon& daemon, const Deployment& deployment)
      : daemon_(daemon),
        wanted_(deployment),
        path_(fmt::format("{}/{}", kFunctions, deployment.spec.name)),
        what_(fmt::format("can't deploy {}", deployment.spec.name)) {}

  // False: `failure` says why.
  bool run(Deployed& out, Failure& failure) {
    http::ClientResponse response;
    if (!daemon_.call("GET", path_, "", response, failure)) return false;
    if (response.status != 200 && response.status != 404) return refuse(response, failure);
    const bool exists = response.status == 200;
    if (exists) {
      const json answer = parse_body(response);
      if (!answer.is_object() || !answer.contains("Configuration")) {
        failure = no_daemon(daemon_);
        return false;
      }
      configuration_ = answer["Configuration"];
    }
    if (!(exists ? update(failure) : create(failure)) || !wait_until_active(failure)) return false;
    out.name = wanted_.spec.name;
    out.action = action_;
    out.revision = full_revision(configuration_);
    out.short_revision = short_revision(configuration_);
    out.substituted = substitution_note(configuration_);
    out.url = fmt::format("{}/fn/{}", daemon_.url(), wanted_.spec.name);
    return true;
  }

 private:
  bool refuse(const http::ClientResponse& response, Failure& failure) {
    failure = refusal(response, what_, "");
    return false;
  }

  // Sends a change whose answer is the function's configuration.
  bool change(const char* method, const std::string& target, const json& body, Failure& failure) {
    http::ClientResponse response;
    if (!daemon_.call(method, target, body.dump(-1, ' ', false, json::error_handler_t::replace),
                      response, failure))
      return false;
    if (response.status / 100 != 2) return refuse(response, failure);
    configuration_ = parse_body(response);
    return true;
  }

  bool create(Failure& failure) {
    action_ = "created";
    json body = configuration_json(wanted_.spec);
    body["FunctionName"] = wanted_.spec.name;
    body["Code"] = {{"ZipFile", base64_encode(wanted_.archive.zip)}};
    return change("POST", kFunctions, body, failure);
  }

  bool update(Failure& failure) {
    const bool same_code = text_of(configuration_, "CodeSha256") == wanted_.sha256_base64;
    const bool same_settings = same_configuration(wanted_.spec, configuration_);
    action_ = same_code && same_settings ? "unchanged" : "updated";
    if (!same_code && !update_code(same_settings, failure)) return false;
    // A daemon that doesn't know Hearth.Configuration has taken the code alone. Code first: a new
    // handler's file is then there.
    if (same_configuration(wanted_.spec, configuration_)) return true;
    return change("PUT", path_ + "/configuration", configuration_json(wanted_.spec), failure);
  }

  // When both change, the configuration goes along with the code: one revision, so that no call
  // meets new code with the old handler.
  bool update_code(bool same_settings, Failure& failure) {
    json body{{"ZipFile", base64_encode(wanted_.archive.zip)}};
    if (!same_settings) body["Hearth"] = {{"Configuration", configuration_json(wanted_.spec)}};
    // The revision that was compared: somebody else's deploy in between is a conflict, not a
    // mixture.
    const std::string revision = text_of(configuration_, "RevisionId");
    if (!revision.empty()) body["RevisionId"] = revision;
    return change("PUT", path_ + "/code", body, failure);
  }

  bool pending() const {
    return text_of(configuration_, "State") == "Pending" ||
           text_of(configuration_, "LastUpdateStatus") == "InProgress";
  }

  bool wait_until_active(Failure& failure) {
    const SystemClock clock;
    const Deadline deadline = clock.now() + kPollMax;
    while (pending()) {
      if (clock.now() > deadline) {
        failure = Failure{Exit::timeout, what_, "the daemon has not made it active in 60 s",
                          "`hearth list` shows its state"};
        return false;
      }
      std::this_thread::sleep_for(kPollEvery);
      http::ClientResponse response;
      if (!daemon_.call("GET", path_ + "/configuration", "", response, failure)) return false;
      if (response.status != 200) return refuse(response, failure);
      configuration_ = parse_body(response);
    }
    return true;
  }

  Daemon& daemon_;
  const Deployment& wanted_;
  std::string path_;
  std::string what_;
  std::string action_;
  json configuration_;  // as the daemon answered last
};

Exit deploy_one(const std::string& folder, Daemon& daemon, Deployed& out, Output& output) {
  const SystemClock clock;
  const MonotonicTime start = clock.now();
  const auto deployment = read_folder(folder);
  if (!deployment) {
    return report(output, Failure{Exit::usage, fmt::format("can't deploy {}", folder),
                                  deployment.error().detail, folder_advice(folder)});
  }
  Failure failure;
  if (!Deployer(daemon, *deployment).run(out, failure)) return report(output, failure);
  out.fresh_start = fresh_start_reason(deployment->spec);
  out.took = milliseconds(to_ms(clock.now() - start));
  return Exit::ok;
}

json as_json(const Deployed& d) {
  return json{{"name", d.name},
              {"action", d.action},
              {"revision", d.revision},
              {"url", d.url},
              {"duration_ms", d.took.count()},
              {"fresh_start", d.fresh_start.empty() ? json(nullptr) : json(d.fresh_start)},
              {"substituted", d.substituted.empty() ? json(nullptr) : json(d.substituted)}};
}

}  // namespace

// Every folder is tried; the exit code is that of the first that failed.
Exit run_deploy(const DeployOptions& options, Output& output) {
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  if (!daemon) return report(output, failure);
  Exit result = Exit::ok;
  json all = json::array();
  for (const std::string& folder : options.folders) {
    Deployed done;
    const Exit exit = deploy_one(folder, *daemon, done, output);
    if (result == Exit::ok) result = exit;
    if (exit != Exit::ok) continue;
    if (options.json) {
      all.push_back(as_json(done));
      continue;
    }
    output.out(fmt::format("{}  {}  revision {}  {}  {:.2f} s\n", done.name, done.action,
                           shown(output, done.short_revision), done.url,
                           static_cast<double>(done.took.count()) / 1'000));
    if (!done.substituted.empty())
      output.out(fmt::format("  {} (runtimes.substitute)\n", shown(output, done.substituted)));
    if (!done.fresh_start.empty()) {
      output.out(fmt::format("  cold starts are slower: no parked worker fits it, since {}\n",
                             done.fresh_start));
    }
  }
  if (options.json) output.out(dump(all));
  return result;
}

}  // namespace hearth::cli
