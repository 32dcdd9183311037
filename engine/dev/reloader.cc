#include "dev/reloader.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dev/syntax_place.h"

namespace hearth::dev {
namespace {

constexpr std::string_view kCodeRoot = "/var/task/";
constexpr const char* kNotKnown = "?";  // no key: whatever is saved next is loaded

// Paths of the sandbox as the developer's own, so that an editor can open them.
std::string with_real_paths(std::string_view text, const std::string& folder) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = text.find(kCodeRoot, at);
    out += text.substr(at, found - at);
    if (found == std::string_view::npos) return out;
    out += folder + "/";
    at = found + kCodeRoot.size();
  }
}

}  // namespace

std::string load_problem(const LoadState& state) {
  const auto error = nlohmann::json::parse(state.payload, nullptr, false);
  const auto text = [&](const char* key) {
    return error.is_object() && error.contains(key) && error[key].is_string()
               ? error[key].get<std::string>()
               : std::string();
  };
  const std::string type = text("errorType");
  const std::string message = text("errorMessage");
  if (!type.empty()) return message.empty() ? type : fmt::format("{}: {}", type, message);
  return Error{state.code, state.detail}.message();
}

Reloader::Reloader(Console& console, const Clock& clock, Options options)
    : console_(console), clock_(clock), options_(std::move(options)) {}

Reloader::Entry* Reloader::find(const std::string& folder, uint64_t generation) {
  const auto found = entries_.find(folder);
  if (found == entries_.end() || found->second.generation != generation) return nullptr;
  return &found->second;
}

const Reloader::Entry* Reloader::by_name(std::string_view name) const {
  for (const auto& [folder, entry] : entries_) {
    if (!entry.name.empty() && (entry.name == name || trial_name(entry.name) == name))
      return &entry;
  }
  return nullptr;
}

// Before its name is known, a function goes by its folder's.
std::string Reloader::shown(const Entry& entry) const {
  return entry.name.empty() ? entry.folder.substr(entry.folder.rfind('/') + 1) : entry.name;
}

void Reloader::load(const std::string& folder, MonotonicTime saved) {
  Entry& entry = entries_[folder];
  entry.folder = folder;
  // Of several saves, the first one that is not live yet counts.
  if (entry.stage == Stage::idle) entry.saved = saved;
  entry.generation = ++generations_;
  read(entry);
}

void Reloader::unload(const std::string& folder) {
  const auto found = entries_.find(folder);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.on_trial) remove_function(trial_name(entry.name));
  if (!entry.live_key.empty()) remove_function(entry.name);
  console_.removed(shown(entry));
  const std::string name = entry.name;
  entries_.erase(found);
  offer(name);
}

// Nobody has the name any more: a folder that was refused for it may have it.
void Reloader::offer(const std::string& name) {
  for (auto& [folder, entry] : entries_) {
    if (!name.empty() && entry.wanted == name && entry.stage == Stage::idle) return load(folder);
  }
}

void Reloader::read(Entry& entry) {
  entry.stage = Stage::reading;
  DraftSource source = options_.draft;
  source.folder = entry.folder;
  StoreThread& store = engine_->store();
  const bool posted = store.post_code(
      [this, &store, source, generation = entry.generation](const FunctionService&) {
        auto draft = make_draft(source);
        Result<std::shared_ptr<Draft>> shared =
            draft ? Result<std::shared_ptr<Draft>>(std::make_shared<Draft>(*std::move(draft)))
                  : Result<std::shared_ptr<Draft>>(std::move(draft).error());
        store.answer([this, folder = source.folder, generation, shared] {
          if (Entry* now = find(folder, generation)) on_draft(*now, shared);
        });
      });
  if (!posted) fail(entry, Error{Code::store_busy, {}}.message());
}

void Reloader::on_draft(Entry& entry, Result<std::shared_ptr<Draft>> draft) {
  if (!draft) return fail(entry, draft.error().detail);
  const std::string& name = (*draft)->package.spec.name;
  entry.wanted.clear();
  if (name != entry.name && !take_name(entry, name)) {
    return fail(entry, fmt::format("{} has a function '{}' already; give one of them another name: "
                                   "in its function.yaml",
                                   by_name(name)->folder, name));
  }
  const bool unloaded = !entry.served && !entry.broken;  // nothing is known of what is deployed
  const bool same = (*draft)->key == entry.live_key;
  if (same && !unloaded) {
    end_trial(entry);
    entry.stage = Stage::idle;
    return entry.broken ? console_.load_failed(entry.name, "saved without a change", false)
                        : console_.unchanged(entry.name);
  }
  entry.draft = *std::move(draft);
  if (entry.live_key.empty() || same) return deploy_as(entry, entry.name, Stage::opening);
  deploy_as(entry, trial_name(entry.name), Stage::trying);
}

// False: another folder has that name.
bool Reloader::take_name(Entry& entry, const std::string& name) {
  entry.wanted = name;
  if (by_name(name) != nullptr) return false;
  entry.wanted.clear();
  end_trial(entry);
  if (!entry.live_key.empty()) remove_function(entry.name);
  entry.live_key.clear();
  entry.served = entry.broken = false;
  const std::string before = std::exchange(entry.name, name);
  offer(before);
  return true;
}

void Reloader::deploy_as(Entry& entry, const std::string& name, Stage next) {
  auto package = duplicate(entry.draft->package);
  if (!package) return fail(entry, package.error().message());
  package->spec.name = name;
  if (next == Stage::trying) {
    entry.on_trial = true;
    package->spec.concurrency.workers_min = 1;
    package->spec.concurrency.workers_max = 1;
  } else {
    // From here on it may be what serves, whatever a later save makes of the answer.
    entry.live_key = entry.draft->key;
    uint32_t& least = package->spec.concurrency.workers_min;
    if (entry.broken) least = 0;
    if (next == Stage::opening) least = std::max(1u, least);
  }
  const Status posted = deploy(engine_->store(), *std::move(package),
                               [this, folder = entry.folder, generation = entry.generation,
                                next](Result<Deployed> deployed) {
                                 if (Entry* now = find(folder, generation))
                                   on_deployed(*now, next, std::move(deployed));
                               });
  if (!posted) fail(entry, posted.error().message());
}

void Reloader::on_deployed(Entry& entry, Stage next, Result<Deployed> deployed) {
  if (!deployed) {
    if (next != Stage::trying) entry.live_key = kNotKnown;
    return fail(entry, deployed.error().message());
  }
  entry.revision = deployed->record.spec.revision;
  entry.stage = next;
  const FunctionRecord& record = deployed->record;
  std::string note =
      record.substituted && next != Stage::trying ? substitution_note(record) : entry.note;
  if (note != entry.note) console_.warning(note);
  entry.note = std::move(note);
  if (next != Stage::warming) return look_at(entry);
  end_trial(entry);
  if (entry.broken) {
    entry.stage = Stage::idle;
  } else {
    look_at(entry);
  }
}

void Reloader::look() {
  for (auto& [folder, entry] : entries_) {
    if (entry.stage == Stage::trying || entry.stage == Stage::opening ||
        entry.stage == Stage::warming)
      look_at(entry);
  }
}

void Reloader::look_at(Entry& entry) {
  const bool trying = entry.stage == Stage::trying;
  const auto state = engine_->load_state(trying ? trial_name(entry.name) : entry.name);
  if (!state || state->revision != entry.revision) return;
  const bool lazy = entry.stage == Stage::warming && !options_.draft.keep_one;
  if (state->failures > 0 && state->ready == 0) return explain(entry, load_problem(*state));
  if (state->ready > 0 || lazy) on_loaded(entry);
}

void Reloader::on_loaded(Entry& entry) {
  const bool keeps_one =
      options_.draft.keep_one || entry.draft->package.spec.concurrency.workers_min > 0;
  const bool over = entry.stage == Stage::warming || (entry.stage == Stage::opening && keeps_one);
  if (!over) {  // the trial is passed, or the worker that opened it is not to be kept
    entry.broken = false;
    entry.stage = Stage::switching;
    return deploy_as(entry, entry.name, Stage::warming);
  }
  const bool first = !std::exchange(entry.served, true);
  entry.stage = Stage::idle;
  console_.loaded(entry.name, std::chrono::duration_cast<milliseconds>(clock_.now() - entry.saved),
                  first);
}

void Reloader::explain(Entry& entry, std::string problem) {
  if (entry.stage == Stage::warming || !lacks_place(problem)) return fail(entry, problem);
  entry.stage = Stage::explaining;
  end_trial(entry);
  StoreThread& store = engine_->store();
  const bool posted =
      store.post_code([this, &store, node = options_.node, folder = entry.folder,
                       generation = entry.generation, problem](const FunctionService&) {
        const std::string place = find_syntax_error(node, folder);
        const std::string text = place.empty() ? problem : fmt::format("{} at {}", problem, place);
        store.answer([this, folder, generation, text] {
          if (Entry* now = find(folder, generation)) fail(*now, text);
        });
      });
  if (!posted) fail(entry, problem);
}

void Reloader::fail(Entry& entry, std::string_view error) {
  const bool tried = entry.stage == Stage::trying || entry.stage == Stage::opening ||
                     entry.stage == Stage::explaining;
  const bool serving_old = entry.served && !entry.broken;
  entry.stage = Stage::idle;
  end_trial(entry);
  console_.load_failed(shown(entry), error, serving_old);
  // So that its callers are told why there is no reply; no worker is started before they call.
  if (!tried || serving_old) return;
  entry.broken = true;
  entry.stage = Stage::switching;
  deploy_as(entry, entry.name, Stage::warming);
}

void Reloader::end_trial(Entry& entry) {
  if (!std::exchange(entry.on_trial, false)) return;
  remove_function(trial_name(entry.name));
}

void Reloader::remove_function(const std::string& name) {
  // What is not there any more, or a store that stops, needs no removal.
  static_cast<void>(engine_->store().post(
      [name](FunctionService& service) { static_cast<void>(service.remove(name)); }));
}

void Reloader::on_line(const FunctionLine& line) {
  const Entry* entry = by_name(line.spec.name);
  const bool on_trial = entry == nullptr || entry->name != line.spec.name;
  // The trial has printed already what the code prints while it is loaded.
  if (entry != nullptr && !on_trial && line.request_id == nullptr &&
      (entry->stage == Stage::warming || entry->stage == Stage::switching))
    return;
  const std::string id = line.request_id != nullptr ? line.request_id->text() : std::string();
  const std::string_view text =
      line.text.ends_with('\n') ? line.text.substr(0, line.text.size() - 1) : line.text;
  const std::string real =
      entry != nullptr ? with_real_paths(text, entry->folder) : std::string(text);
  console_.log(
      {entry != nullptr ? std::string_view(entry->name) : line.spec.name, id, line.level, real});
}

void Reloader::stop() { entries_.clear(); }

std::vector<std::string> Reloader::folders() const {
  std::vector<std::string> all;
  for (const auto& [folder, entry] : entries_) all.push_back(folder);
  return all;
}

std::vector<std::string> Reloader::names() const {
  std::vector<std::string> all;
  for (const auto& [folder, entry] : entries_) {
    if (!entry.name.empty()) all.push_back(entry.name);
  }
  return all;
}

bool Reloader::known_to_engine(const Entry& entry) const {
  return !entry.name.empty() && engine_->load_state(entry.name).has_value();
}

bool Reloader::settled() const {
  for (const auto& [folder, entry] : entries_) {
    if (entry.stage != Stage::idle) return false;
    const bool deployed = !entry.live_key.empty() && entry.live_key != kNotKnown;
    if (deployed && !known_to_engine(entry)) return false;
  }
  return true;
}

bool Reloader::reachable() const {
  for (const auto& [folder, entry] : entries_) {
    if (entry.stage != Stage::idle && !known_to_engine(entry)) return false;
  }
  return true;
}

}  // namespace hearth::dev
