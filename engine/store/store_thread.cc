#include "store/store_thread.h"

#include "store/migrations.h"
#include "store/quiet_thread.h"

namespace hearth {
namespace {

// While the mailbox is full the loop is busy with what is in it; nobody can be told when it has
// room.
constexpr milliseconds kMailboxRetry{1};

UnpackOptions unpack_options(const StoreThread::Options& options) {
  UnpackOptions unpack;
  unpack.limits.bytes_max = options.limits.code_unpacked_max;
  unpack.limits.files_max = options.limits.code_files_max;
  unpack.time_max = options.limits.code_unpack_time;
  unpack.confined = options.sandbox >= SandboxLeast::user;
  return unpack;
}

}  // namespace

StoreThread::StoreThread(Mailbox& mailbox, const Clock& clock, Log log, Options options)
    : mailbox_(mailbox), clock_(clock), log_(log), options_(std::move(options)) {}

StoreThread::~StoreThread() { stop(); }

Result<std::vector<FunctionSpecPtr>> StoreThread::open() {
  return open(HEARTH_TRY(StateLock::take(options_.state_folder)));
}

Result<std::vector<FunctionSpecPtr>> StoreThread::open(StateLock lock) {
  const Limits& limits = options_.limits;
  folder_.emplace(HEARTH_TRY(StateFolder::open(std::move(lock))));
  database_.emplace(HEARTH_TRY(Database::open(folder_->database_path())));
  HEARTH_TRY(database_->check());
  HEARTH_TRY(migrate(*database_));
  code_.emplace(*folder_, unpack_options(options_));
  code_->set_layers_listener(
      [this](uint32_t layers, const std::string& missing) { on_layers(layers, missing); });
  FunctionService::Options options;
  options.limits = limits;
  options.runtimes = options_.runtimes;
  options.sandbox = options_.sandbox;
  options.network = options_.network;
  options.code_grace = limits.timeout_max + limits.drain_timeout;
  service_.emplace(*database_, *code_, *folder_, clock_, std::move(options));
  HEARTH_TRY(service_->collect());
  LogFiles::Options logs;
  logs.segments = options_.log_segments;
  logs.segment_bytes = limits.log_function_max / options_.log_segments;
  logs_.emplace(folder_->logs(), clock_, logs);
  std::vector<FunctionSpecPtr> specs;
  for (auto& record : HEARTH_TRY(service_->load_all())) {
    logs_->add(record.spec.name);
    if (!record.unavailable.empty()) {
      log_.error("store", "'{}' can't be called: {}", record.spec.name, record.unavailable);
      continue;
    }
    if (record.substituted) log_.info("store", "{}", substitution_note(record));
    specs.push_back(std::make_shared<FunctionSpec>(std::move(record.spec)));
  }
  HEARTH_TRY(logs_->remove_strangers());
  service_->set_listener([this](const FunctionChange& change) { on_committed(change); });
  return specs;
}

void StoreThread::on_committed(const FunctionChange& change) {
  // In front of the engine, so that the first line of a call finds its function known.
  if (change.kind == FunctionChange::Kind::created) logs_->add(change.name);
  if (change.kind == FunctionChange::Kind::removed) logs_->remove(change.name);
  if (!change.note.empty()) log_.info("store", "{}", change.note);
  if (on_change_) answer([this, change] { on_change_(change); });
}

// Once for each state: it is the machine's, not the archive's.
void StoreThread::on_layers(uint32_t layers, const std::string& missing) {
  if (layers_logged_.exchange(layers) == layers) return;
  if (unpack_confined(layers)) {
    log_.info("store", "archives are unpacked without one of the layers: {}", missing);
  } else {
    log_.warning("store",
                 "archives are unpacked by a process that is NOT fully confined, as sandbox.mode "
                 "permits: {}",
                 missing);
  }
}

void StoreThread::start() {
  HEARTH_ASSERT(service_.has_value() && !thread_.joinable());
  logs_->start();
  thread_ = start_quiet_thread("hearth-store", [this] { run(); });
  code_thread_ = start_quiet_thread("hearth-code", [this] { run_code(); });
}

void StoreThread::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    if (code_busy_) code_->stop();
    wake_.notify_one();
    code_wake_.notify_one();
    stop_wake_.notify_all();
  }
  if (code_thread_.joinable()) code_thread_.join();
  if (thread_.joinable()) thread_.join();
  if (logs_) logs_->stop();
}

bool StoreThread::post(Job job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_ || jobs_.size() >= options_.jobs_max) return false;
  jobs_.push_back(std::move(job));
  wake_.notify_one();
  return true;
}

bool StoreThread::post_code(CodeJob job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_ || code_jobs_.size() >= options_.jobs_max) return false;
  code_jobs_.push_back(std::move(job));
  code_wake_.notify_one();
  return true;
}

void StoreThread::answer(Mailbox::Message message) {
  // The mailbox takes a copy: a refused one has to be offered again.
  while (!mailbox_.post(message)) {
    std::unique_lock<std::mutex> lock(mutex_);
    // stop() is called by the loop's thread, which then empties no mailbox.
    if (stopping_) return;
    stop_wake_.wait_for(lock, kMailboxRetry, [this] { return stopping_; });
  }
}

void StoreThread::run_code() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    code_wake_.wait(lock, [this] { return stopping_ || !code_jobs_.empty(); });
    if (stopping_) return;
    CodeJob job = std::move(code_jobs_.front());
    code_jobs_.pop_front();
    code_busy_ = true;
    lock.unlock();
    job(*service_);
    job = nullptr;
    lock.lock();
    code_busy_ = false;
  }
}

void StoreThread::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  std::optional<MonotonicTime> sweep_at;
  for (;;) {
    const auto ready = [this] { return stopping_ || !jobs_.empty(); };
    if (sweep_at) {
      const auto left = *sweep_at - clock_.now();
      wake_.wait_for(lock, std::max<nanoseconds>(left, milliseconds(1)), ready);
    } else {
      wake_.wait(lock, ready);
    }
    if (jobs_.empty() && stopping_) return;
    Job job;
    if (!jobs_.empty()) {
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    lock.unlock();
    if (job) job(*service_);
    job = nullptr;
    sweep_at = service_->sweep();
    lock.lock();
  }
}

}  // namespace hearth
