-- The request of every row, and the figures that wrk prints by itself only as text.
-- Arguments behind "--": the reply that is expected, as a Lua pattern.
expected, wrong, failed = nil, 0, 0   -- globals: thread:get() reads them from the main state
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  wrk.method = "POST"
  wrk.body = '{"name":"world"}'
  wrk.headers["Content-Type"] = "application/json"
  expected = arguments[1]
  wrong, failed = 0, 0
end

-- A response() callback makes wrk collect every header and body, which costs it a third of its speed:
-- it is defined only for the short check before the measurement.
if os.getenv("HEARTH_BENCH_CHECK") then
  function response(status, headers, body)
    if status ~= 200 then
      failed = failed + 1
    elseif not string.find(body, expected, 1, true) then
      wrong = wrong + 1
    end
  end
end

function done(summary, latency, requests)
  local all_wrong, all_failed = 0, 0
  for _, thread in ipairs(threads) do
    all_wrong = all_wrong + thread:get("wrong")
    all_failed = all_failed + thread:get("failed")
  end
  local errors = summary.errors
  io.write(string.format(
    'JSON {"requests": %d, "seconds": %.6f, "p50_us": %.1f, "p90_us": %.1f, "p99_us": %.1f, "max_us": %.1f, '
      .. '"socket_errors": %d, "status_errors": %d, "wrong": %d, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency.max, errors.connect + errors.read + errors.write + errors.timeout, errors.status, all_wrong, all_failed))
end
