# Sidekiq: `ruby sidekiq.rb ROLE REDIS_URL COUNT`. The words exchanged are those of common.mjs.
require "sidekiq"
require "sidekiq/launcher"

ROLE, URL, TEXT = ARGV
COUNT = TEXT.to_i
Sidekiq.logger.level = Logger::FATAL
# What its client says of itself would be measured, too.
Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)
# One connection for each thread, as its own server takes, and some to watch it by.
Sidekiq.configure_client { |config| config.redis = { url: URL, size: 30 } }
$stdout.sync = true

def now_us = (Process.clock_gettime(Process::CLOCK_REALTIME) * 1_000_000).round

# 200 bytes of payload.
def payload
  sent = now_us
  head = %({"sent":#{sent},"filler":""})
  { "sent" => sent, "filler" => "x" * (200 - head.size) }
end

# Says that it is ready, and waits for the word. When the bench is gone, so is this.
def go
  words = Queue.new
  Thread.new do
    while (line = $stdin.gets)
      words << line if line.strip == "go"
    end
    exit!(0)
  end
  puts "ready"
  words.pop
end

def seconds
  began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  yield
  puts Process.clock_gettime(Process::CLOCK_MONOTONIC) - began
end

class Idle
  include Sidekiq::Worker
  sidekiq_options queue: "bench", retry: 5

  def perform(_job) = nil
end

class Told
  include Sidekiq::Worker
  sidekiq_options queue: "bench", retry: 5

  def perform(job) = puts([0, now_us - job["sent"]].max)
end

def work(concurrency)
  options = Sidekiq.options.merge(queues: ["bench"], concurrency: concurrency, environment: "production")
  launcher = Sidekiq::Launcher.new(options)
  launcher.run
end

case ROLE
when "bulk"
  go
  seconds do
    COUNT.fdiv(1000).ceil.times do |i|
      size = [1000, COUNT - i * 1000].min
      Sidekiq::Client.push_bulk("class" => Idle, "args" => Array.new(size) { [payload] })
    end
  end
when "single"
  go
  seconds { COUNT.times { Idle.perform_async(payload) } }
when "drain"
  go
  work(20)
  sleep 0.005 until Sidekiq::Queue.new("bench").size.zero? && Sidekiq::Workers.new.size.zero?
  puts "done"
  sleep
when "tell"
  go
  work(5)
  sleep
when "send"
  go
  COUNT.times do
    sleep 0.015
    Told.perform_async(payload)
  end
end
