-- A script for wrk: waits 4 ms before each request, and prints latencies in milliseconds as JSON.
function delay()
  return 4
end

function done(summary, latency)
  local errors = summary.errors
  local median = latency:percentile(50)
  local slow = 0
  for i = 1, #latency do
    local value, count = latency(i)
    if value > 2 * median then
      slow = slow + count
    end
  end
  io.write(string.format(
    'latencies {"count": %d, "failed": %d, "p50": %f, "p99": %f, "max": %f, "slow": %d}\n',
    summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    median / 1000,
    latency:percentile(99) / 1000,
    latency.max / 1000,
    slow
  ))
end
