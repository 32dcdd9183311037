#include "package/deploy.h"

#include <memory>

namespace hearth {
namespace {

// Everything that a manifest can say, so that what it no longer says goes back to its default.
ConfigurationPatch patch_of(FunctionSpec spec) {
  ConfigurationPatch patch;
  patch.runtime = spec.runtime;
  patch.runtime_label = std::string(runtime_label(spec));
  patch.handler = std::move(spec.handler);
  patch.timeout = spec.timeout;
  patch.memory_bytes = spec.memory_bytes;
  patch.environment = std::move(spec.environment);
  patch.description = std::move(spec.description);
  patch.isolation = IsolationPatch::of(spec);
  patch.per_worker = spec.concurrency.per_worker;
  patch.workers_min = spec.concurrency.workers_min;
  patch.workers_max = spec.concurrency.workers_max;
  patch.queue = spec.concurrency.queue;
  return patch;
}

// A deploy on its way through the store's threads. Jobs have to be copyable, and this is not.
struct Journey {
  Package package;
  std::optional<Result<StagedCode>> code;
  DeployDone done;
  DeployWanted wanted;
};

Result<Deployed> put(FunctionService& service, Journey& journey) {
  if (journey.wanted && !journey.wanted()) return Error{Code::timed_out, {}};
  return put_function(service, std::move(journey.package.spec), *std::move(journey.code));
}

}  // namespace

std::string_view action_name(Deployed::Action action) {
  switch (action) {
    case Deployed::Action::created:
      return "created";
    case Deployed::Action::updated:
      return "updated";
    case Deployed::Action::unchanged:
      break;
  }
  return "unchanged";
}

Result<Deployed> put_function(FunctionService& service, FunctionSpec spec,
                              Result<StagedCode> code) {
  Deployed out;
  const auto before = service.get(spec.name);
  if (!before) {
    if (before.error().code != Code::function_unknown) return before.error();
    out.record = HEARTH_TRY(service.create(std::move(spec), std::move(code)));
    return out;
  }
  const std::string name = spec.name;
  out.record = HEARTH_TRY(
      service.update_code(name, std::move(code), std::nullopt, patch_of(std::move(spec))));
  out.action = out.record.spec.revision == before->spec.revision ? Deployed::Action::unchanged
                                                                 : Deployed::Action::updated;
  return out;
}

Status deploy(StoreThread& store, Package package, DeployDone done, DeployWanted wanted) {
  auto journey = std::make_shared<Journey>();
  journey->package = std::move(package);
  journey->done = std::move(done);
  journey->wanted = std::move(wanted);
  const auto change = [&store, journey](FunctionService& service) {
    auto result = std::make_shared<Result<Deployed>>(put(service, *journey));
    store.answer([journey, result] { journey->done(std::move(*result)); });
  };
  const bool taken = store.post_code([&store, journey, change](const FunctionService& service) {
    journey->code.emplace(service.prepare_code(journey->package.archive.get()));
    journey->package.archive.reset();
    if (store.post(change)) return;
    store.answer([journey] {
      journey->done(Error{Code::store_busy, "too many changes of functions wait"});
    });
  });
  if (taken) return ok();
  return Error{Code::store_busy, "too many deploys wait; try again"};
}

}  // namespace hearth
