-- For wrk: a client that asks now and then, and tells how long it waited, in milliseconds.
function delay()
  return 4
end

function done(summary, latency)
  local errors = summary.errors
  local median = latency:percentile(50)
  local slow = 0
  for i = 1, #latency do
    local wait, count = latency(i)
    if wait > 2 * median then
      slow = slow + count
    end
  end
  io.write(string.format(
    'waits {"count": %d, "failed": %d, "p50": %f, "p99": %f, "slowest": %f, "slow": %d}\n',
    summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    median / 1000,
    latency:percentile(99) / 1000,
    latency.max / 1000,
    slow
  ))
end
