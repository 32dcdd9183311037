// Every limit of the engine, with its default and its key in hearth.yaml. What is sized from them
// shows the sum where the number is. Plain data; set once at start and read-only afterwards.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/units.h"

namespace hearth {

struct Limits {
  // calls
  uint32_t calls_max =
      20'000;  // limits.calls: calls in flight in the whole engine (queued and sent)
  uint32_t queue_default =
      1'000;  // limits.queue: a function's queue, when function.yaml names none
  uint32_t queue_ceiling =
      10'000;  // limits.queue_ceiling: the most that a function.yaml may ask for
  uint32_t prefetch_max =
      64;  // limits.prefetch: calls in one worker's socket; protocol.md promises at most 64
  microseconds prefetch_time{
      2'000};  // limits.prefetch_time: prefetched calls are to be done within that
  milliseconds queue_time{
      30'000};  // limits.queue_time: the longest wait for a worker, then 429 queue_timeout
  seconds timeout_max{900};  // limits.timeout: the longest timeout that a function may have

  uint32_t functions_max = 10'000;  // limits.functions: functions deployed

  // workers
  uint32_t workers_max = 512;  // limits.workers: workers in the whole engine, parked ones included
  uint32_t workers_function_default =
      100;  // limits.workers_per_function: workers_max of a function that names none
  uint32_t per_worker_max = 64;  // limits.per_worker: the most calls at once in one worker
  uint32_t pids_max = 256;       // limits.pids: processes and threads of one sandbox
  uint64_t memory_budget =
      0;  // limits.memory_budget: sum of the workers' memory; 0 = 3/4 of the machine's
  uint64_t function_memory_max = gibibytes(10);  // limits.function_memory
  uint32_t pool_python = 2;                      // pool.python3: parked generic workers
  uint32_t pool_node = 2;                        // pool.nodejs
  uint32_t pool_key_max = 16;        // pool.max_per_key: parked workers of one kind, on demand
  uint32_t pool_zygote_forks = 256;  // pool.zygote_forks: workers of one generic zygote; 0 = none
  uint32_t pool_memory_share = 12;  // pool.memory_share: percent of the budget that demand may park
  seconds idle_timeout{600};        // pool.idle_timeout: an idle worker lives that long
  milliseconds zygote_min_init{50};  // zygotes.min_init: an init that takes less makes no zygote
  uint64_t compile_cache_per_function =
      mebibytes(4);  // limits.compile_cache_per_function: of a Node.js revision; 0 = none is made
  uint64_t compile_cache_total = mebibytes(64);  // limits.compile_cache_total: of all revisions
  seconds zygote_idle{3'600};  // zygotes.idle: a zygote that is not forked lives that long
  uint32_t zygote_spares = 8;  // zygotes.spares: children of one zygote that wait, forked ahead
  milliseconds init_timeout{10'000};  // limits.init_timeout: from INIT to READY
  milliseconds boot_timeout{20'000};  // limits.boot_timeout: from spawn to HELLO
  milliseconds freeze_after{
      50};  // limits.freeze_after: without a call, then a worker stands still; 0 = never (leftovers
            // that are to be cleared still are, after 50 ms)
  milliseconds ping_timeout{100};      // limits.ping_timeout
  milliseconds stop_grace{500};        // limits.stop_grace: from STOP to the kill
  milliseconds drain_timeout{10'000};  // limits.drain_timeout: after SIGTERM, for calls in flight

  // network: egress, each for one worker
  uint32_t egress_connects = 64;                // network.connects: blocking connects under way
  uint32_t egress_rate = 200;                   // network.connect_rate: connects a second
  uint32_t egress_burst = 400;                  // network.connect_burst: connects at once
  milliseconds egress_connect_timeout{30'000};  // network.connect_timeout: of a blocking one
  milliseconds egress_question_timeout{
      2'000};                     // network.question_timeout: one try with one name server
  seconds egress_answer_min{60};  // network.answer_time: an answer counts at least that long

  // payloads
  uint64_t invoke_body_max = mebibytes(6);  // limits.invoke_body
  uint64_t reply_max = mebibytes(6) + 100;  // limits.reply
  uint64_t stream_max = mebibytes(200);     // limits.stream: a reply that is streamed to its caller
  uint64_t code_upload_max =
      mebibytes(70);  // limits.code_upload: a create or update request, base64 included
  uint64_t code_unpacked_max = mebibytes(250);  // limits.code_unpacked
  uint32_t code_files_max = 20'000;             // limits.code_files
  milliseconds code_unpack_time{60'000};        // limits.code_unpack_time: for unpacking an archive
  uint64_t code_total_max =
      gibibytes(16);  // limits.code_total: bytes of all code on disk, packed and unpacked
  uint64_t buffers_max = mebibytes(512);  // limits.buffers: payload bytes held by the engine

  // HTTP
  uint32_t connections_max = 4'096;  // http.connections
  uint32_t head_max = 64 * 1024;     // http.head: bytes of request line and headers
  uint32_t headers_max = 128;        // http.headers: header lines
  milliseconds head_timeout{
      10'000};  // http.head_timeout: from the first byte to the end of the head
  milliseconds body_timeout{60'000};     // http.body_timeout: without a byte of body
  milliseconds idle_connection{75'000};  // http.idle_timeout: keep-alive without a request
  milliseconds write_timeout{60'000};    // http.write_timeout: a client that does not read

  // logs
  uint64_t log_rate = mebibytes(1);           // log.rate: bytes a second and worker
  uint64_t log_burst = mebibytes(4);          // log.burst
  uint32_t log_line_max = 64 * 1024;          // log.line
  uint64_t log_function_max = mebibytes(64);  // log.max: bytes of a function's log files
};

}  // namespace hearth
