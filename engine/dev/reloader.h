// From a save to new code that serves, function by function. While some code serves, each new
// revision is first loaded under a name of its own; only when a worker of it is ready does the
// function change over, so that code that can't be loaded never takes a call. The first code of a
// function has its name at once: calls wait until it is loaded. Loop thread only; folders are
// packed on the store's threads.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dev/console.h"
#include "dev/draft.h"
#include "engine.h"
#include "package/deploy.h"

namespace hearth::dev {

class Reloader {
 public:
  struct Options {
    DraftSource draft;  // but for its folder
    std::string node;   // the interpreter; empty: none
  };
  // Both must outlive this; this must outlive what the engine still delivers.
  Reloader(Console& console, const Clock& clock, Options options);
  // Before anything else.
  void attach(Engine& engine) { engine_ = &engine; }

  // Whether each function has a worker of its own at all times, so that calls are warm.
  void keep_one(bool keep) { options_.draft.keep_one = keep; }

  // The function in `folder` is new, or was changed at `saved`.
  void load(const std::string& folder) { load(folder, clock_.now()); }
  void load(const std::string& folder, MonotonicTime saved);
  // Its folder is gone.
  void unload(const std::string& folder);
  // Forgets every function: nothing that the engine still delivers is heard. Before its end.
  void stop();
  // At the end of each turn of the loop: has something been loaded, or failed to?
  void look();
  // A line of a function, to be printed under the function's own name, or not at all.
  void on_line(const FunctionLine& line);

  // The functions' folders, sorted.
  std::vector<std::string> folders() const;
  // Names of the functions that were read so far, in the order of their folders.
  std::vector<std::string> names() const;
  // No function is on its way: each is loaded, or its error was shown.
  bool settled() const;
  // Calls of each function reach it, though some may have to wait until its code is loaded. Of a
  // function that can't even be read the error was shown.
  bool reachable() const;

 private:
  enum class Stage : uint8_t {
    idle,
    reading,     // its folder is packed, then deployed
    opening,     // it has its own name, as there is no older code; its first worker loads it
    trying,      // the trial's first worker loads it
    explaining,  // it failed; the place of its error is looked up
    switching,   // it is deployed anew under its own name
    warming      // its first worker loads it
  };
  struct Entry {
    std::string folder;
    std::string name;    // empty: not known yet
    std::string wanted;  // a name that another folder has
    Stage stage = Stage::idle;
    uint64_t generation = 0;  // of the last save; what belongs to an older one is dropped
    MonotonicTime saved;
    std::shared_ptr<Draft> draft;
    std::string revision;   // of the trial, then of the function
    std::string live_key;   // of the code that serves; empty: none does
    bool served = false;    // some code of its name has served
    bool broken = false;    // what serves is known not to load
    bool on_trial = false;  // the trial is deployed
    std::string note;       // substitution_note(), once it was told
  };

  void read(Entry& entry);
  void on_draft(Entry& entry, Result<std::shared_ptr<Draft>> draft);
  bool take_name(Entry& entry, const std::string& name);
  void offer(const std::string& name);
  void deploy_as(Entry& entry, const std::string& name, Stage next);
  void on_deployed(Entry& entry, Stage next, Result<Deployed> deployed);
  void look_at(Entry& entry);
  void on_loaded(Entry& entry);
  bool known_to_engine(const Entry& entry) const;
  void explain(Entry& entry, std::string problem);
  void fail(Entry& entry, std::string_view error);
  void end_trial(Entry& entry);
  void remove_function(const std::string& name);
  Entry* find(const std::string& folder, uint64_t generation);
  const Entry* by_name(std::string_view name) const;
  std::string shown(const Entry& entry) const;

  Console& console_;
  const Clock& clock_;
  Options options_;
  Engine* engine_ = nullptr;
  std::map<std::string, Entry> entries_;  // by folder
  uint64_t generations_ = 0;
};

// "SyntaxError: invalid syntax" of a runtime's error JSON, else the detail or the code's text.
std::string load_problem(const LoadState& state);

}  // namespace hearth::dev
