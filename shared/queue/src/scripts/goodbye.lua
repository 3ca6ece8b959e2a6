-- A worker leaves. It may have taken a token that it can no longer use, so it puts one back.
--
-- Own ARGV: 5 holder
-- Result: 1. Atomic. Bound: constant.

call('ZREM', WORKERS, ARGV[5])
call('HDEL', WORKER_INFO, ARGV[5])
wake()
return 1
