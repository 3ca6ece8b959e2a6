-- Removes a worker that stops. It may have taken a token that it can no longer use, so a token is put back.
--
-- Own ARGV: 6 holder
-- Result: 1. Atomic. Bound: constant.

call('ZREM', WORKERS, ARGV[6])
call('HDEL', WORKER_INFO, ARGV[6])
wake()
return 1
