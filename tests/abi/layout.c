/* The sizes and offsets of version 1 on x86-64, as numbers: a field that moves breaks every program
 * that was built before. Structures may grow at the end; then the new size goes here, and the old
 * one stays in what the library accepts. */
#include <hearth/hearth.h>

#if defined(__x86_64__) && defined(__LP64__)
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "the size of " #type)
#define AT(type, field, bytes) \
  _Static_assert(offsetof(type, field) == (bytes), "the place of " #type "." #field)
#define VALUE(name, number) _Static_assert((name) == (number), "the value of " #name)

SIZE(hearth_bytes_t, 16);
AT(hearth_bytes_t, data, 0);
AT(hearth_bytes_t, size, 8);

SIZE(hearth_log_line_t, 48);
AT(hearth_log_line_t, struct_size, 0);
AT(hearth_log_line_t, level, 4);
AT(hearth_log_line_t, function, 8);
AT(hearth_log_line_t, request_id, 16);
AT(hearth_log_line_t, text, 24);
AT(hearth_log_line_t, more, 40);

SIZE(hearth_options_t, 88);
AT(hearth_options_t, struct_size, 0);
AT(hearth_options_t, flags, 4);
AT(hearth_options_t, config_path, 8);
AT(hearth_options_t, config_yaml, 16);
AT(hearth_options_t, state_dir, 24);
AT(hearth_options_t, listen, 32);
AT(hearth_options_t, sandbox, 40);
AT(hearth_options_t, log, 48);
AT(hearth_options_t, log_ctx, 56);
AT(hearth_options_t, log_level, 64);
AT(hearth_options_t, reserved, 68);
AT(hearth_options_t, function_log, 72);
AT(hearth_options_t, function_log_ctx, 80);

SIZE(hearth_file_t, 32);
AT(hearth_file_t, struct_size, 0);
AT(hearth_file_t, mode, 4);
AT(hearth_file_t, path, 8);
AT(hearth_file_t, content, 16);

SIZE(hearth_source_t, 48);
AT(hearth_source_t, struct_size, 0);
AT(hearth_source_t, file_count, 4);
AT(hearth_source_t, folder, 8);
AT(hearth_source_t, files, 16);
AT(hearth_source_t, manifest_path, 24);
AT(hearth_source_t, manifest_yaml, 32);
AT(hearth_source_t, name, 40);

SIZE(hearth_host_function_t, 56);
AT(hearth_host_function_t, struct_size, 0);
AT(hearth_host_function_t, concurrency, 4);
AT(hearth_host_function_t, name, 8);
AT(hearth_host_function_t, handler, 16);
AT(hearth_host_function_t, ctx, 24);
AT(hearth_host_function_t, on_removed, 32);
AT(hearth_host_function_t, timeout_ms, 40);
AT(hearth_host_function_t, queue, 48);
AT(hearth_host_function_t, reserved, 52);

SIZE(hearth_request_t, 48);
AT(hearth_request_t, struct_size, 0);
AT(hearth_request_t, flags, 4);
AT(hearth_request_t, function, 8);
AT(hearth_request_t, payload, 16);
AT(hearth_request_t, timeout_ms, 32);
AT(hearth_request_t, client_context_json, 40);

SIZE(hearth_outcome_t, 120);
AT(hearth_outcome_t, struct_size, 0);
AT(hearth_outcome_t, kind, 4);
AT(hearth_outcome_t, payload, 8);
AT(hearth_outcome_t, error_name, 24);
AT(hearth_outcome_t, error_message, 32);
AT(hearth_outcome_t, error_code, 48);
AT(hearth_outcome_t, error_http_status, 52);
AT(hearth_outcome_t, log_tail, 56);
AT(hearth_outcome_t, request_id, 72);
AT(hearth_outcome_t, revision, 80);
AT(hearth_outcome_t, exec_us, 88);
AT(hearth_outcome_t, init_us, 96);
AT(hearth_outcome_t, memory_max_bytes, 104);
AT(hearth_outcome_t, cold, 112);
AT(hearth_outcome_t, retryable, 116);

VALUE(HEARTH_HOST_DRIVEN, 1);
VALUE(HEARTH_I_KNOW_THIS_IS_UNSAFE, 2);
VALUE(HEARTH_LOG_DEBUG, 1);
VALUE(HEARTH_LOG_INFO, 2);
VALUE(HEARTH_LOG_WARNING, 3);
VALUE(HEARTH_LOG_ERROR, 4);
VALUE(HEARTH_WANT_LOG_TAIL, 1);
VALUE(HEARTH_HTTP_EVENT, 2);
VALUE(HEARTH_REPLY, 0);
VALUE(HEARTH_FUNCTION_ERROR, 1);
VALUE(HEARTH_PLATFORM_ERROR, 2);

_Static_assert(HEARTH_ABI_VERSION == 1u, "the version");
#endif

int main(void) { return 0; }
