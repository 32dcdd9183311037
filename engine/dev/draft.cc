#include "dev/draft.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "config/read_file.h"
#include "dev/debugger.h"
#include "dev/dotenv.h"
#include "store/digest.h"
#include "store/files.h"
#include "store/function_record.h"

namespace hearth::dev {
namespace {

constexpr std::string_view kTrialEnd = "--loading";

Result<std::string> archive_sha256(int archive) {
  Sha256 hash;
  char buffer[64 * 1024];
  for (off_t at = 0;;) {
    const ssize_t n = ::pread(archive, buffer, sizeof buffer, at);
    if (n < 0) return os_error("read the archive");
    if (n == 0) return to_hex(hash.finish());
    hash.update({buffer, static_cast<size_t>(n)});
    at += n;
  }
}

}  // namespace

Result<Draft> make_draft(const DraftSource& source) {
  Environment extra = HEARTH_TRY(load_dotenv(source.folder + "/.env"));
  if (!source.env_file.empty()) {  // unlike .env it was asked for: it has to be there
    const std::string text =
        HEARTH_TRY(read_file(source.env_file, kDotenvMax, Code::config_invalid));
    extra = merged(std::move(extra), HEARTH_TRY(parse_dotenv(text, source.env_file)));
  }
  PackageSource from;
  from.folder = source.folder;
  from.limits = archive_limits(source.limits);
  Draft draft;
  draft.package = HEARTH_TRY(make_package(from));
  FunctionSpec& spec = draft.package.spec;
  spec.environment = merged(std::move(spec.environment), extra);
  if (source.keep_one) spec.concurrency.workers_min = std::max(1u, spec.concurrency.workers_min);
  if (source.debug_port != 0)
    HEARTH_TRY(prepare_for_debugger(spec, source.debug_port, source.limits));
  HEARTH_TRY(validate(spec, source.limits));
  FunctionSpec whole = spec;
  whole.code_sha256 = HEARTH_TRY(archive_sha256(draft.package.archive.get()));
  draft.key = revision_of(whole);
  return draft;
}

Result<Package> duplicate(const Package& package) {
  Package copy;
  copy.spec = package.spec;
  copy.archive_bytes = package.archive_bytes;
  copy.unpacked_bytes = package.unpacked_bytes;
  copy.files = package.files;
  copy.archive.reset(::fcntl(package.archive.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.archive.valid()) return os_error("duplicate the archive's descriptor");
  return copy;
}

std::string trial_name(const std::string& function) {
  return function.substr(0, kFunctionNameMax - kTrialEnd.size()) + std::string(kTrialEnd);
}

}  // namespace hearth::dev
