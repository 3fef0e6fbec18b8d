-- For wrk: a client that asks now and then, and tells how long it waited, in milliseconds.
function delay()
  return 4
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'waits {"count": %d, "failed": %d, "p50": %f, "p99": %f, "slowest": %f}\n',
    summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000,
    latency:percentile(99) / 1000,
    latency.max / 1000
  ))
end
