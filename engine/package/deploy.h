// A package into the store of an engine in this process: create or update, without HTTP.
#pragma once
#include <functional>

#include "base/result.h"
#include "package/package.h"
#include "store/store_thread.h"

namespace hearth {

struct Deployed {
  enum class Action : uint8_t { created, updated, unchanged };
  FunctionRecord record;  // with its new revision
  Action action = Action::created;
};
std::string_view action_name(Deployed::Action action);

// On the store's thread. Creates the function, or replaces its code and configuration in one
// revision. The engine hears of it in every case, also when nothing changed: a host function of
// this name is dropped. Errors: those of FunctionService::create and update_code.
Result<Deployed> put_function(FunctionService& service, FunctionSpec spec, Result<StagedCode> code);

// Runs on the loop's thread, after the engine has applied the change.
using DeployDone = std::function<void(Result<Deployed>)>;

// Asked once, on the store's thread, when the code is ready and before anything is changed. False:
// it is not wanted any more, so that nothing changes, and `done` gets timed_out.
using DeployWanted = std::function<bool()>;

// THREAD-SAFE, returns at once. `done` runs once, unless the store stops before: then it is
// destroyed without running. Errors, and then `done` never runs: store_busy.
Status deploy(StoreThread& store, Package package, DeployDone done, DeployWanted wanted = {});

}  // namespace hearth
