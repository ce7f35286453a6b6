# Bunny, as its users use it. Prints TAP.

require "bunny"
require "timeout"

HOST, PORT = ENV.fetch("STOA_SUITE_HOST"), ENV.fetch("STOA_SUITE_PORT").to_i
$count = 0

def connect(**options)
  Bunny.new(host: HOST, port: PORT, user: "guest", password: "guest", log_level: :fatal, continuation_timeout: 15_000, **options).start
end

def check(name)
  $count += 1
  connection = connect
  Timeout.timeout(40) { yield connection.create_channel, connection }
  puts "ok #{$count} - #{name}"
rescue Exception => e # rubocop:disable Lint/RescueException
  puts "not ok #{$count} - #{name}", "# #{e.class}: #{e.message}", *e.backtrace.first(4).map { |line| "# #{line}" }
ensure
  connection&.close rescue nil
end

def equal(expected, got)
  raise "expected #{expected.inspect}, got #{got.inspect}" unless expected == got
end

def eventually
  100.times { return if yield; sleep 0.05 }
  raise "it did not come about"
end

def name(stem)
  "#{stem}-#{Process.pid}-#{$count}-#{rand(1 << 32)}"
end

def pops(queue, count, **options)
  taken = []
  eventually do
    got = queue.pop(**options)
    taken << got if got[0]
    taken.size == count
  end
  taken
end

check "publish, get, acknowledge; counts" do |ch|
  q = ch.queue("", exclusive: true)
  3.times { |n| q.publish("m#{n}", message_id: n.to_s) }
  eventually { q.message_count == 3 }
  info, properties, body = q.pop(manual_ack: true)
  equal ["m0", "0", false, 2], [body, properties.message_id, info.redelivered?, q.message_count]
  ch.ack(info.delivery_tag)
  equal %w[m1 m2], pops(q, 2).map(&:last)
  equal [nil, nil, nil], q.pop
end

check "confirms, in batches and one by one" do |ch|
  ch.confirm_select
  q = ch.queue(name("durable"), durable: true)
  200.times { |n| q.publish(n.to_s, persistent: true) }
  equal true, ch.wait_for_confirms
  equal [], ch.nacked_set.to_a
  equal 200, q.message_count
  q.delete
end

check "mandatory messages come back, with their reason, before their confirm" do |ch|
  ch.confirm_select
  returned = []
  x = ch.default_exchange
  x.on_return { |info, properties, body| returned << [info.reply_code, info.reply_text, info.routing_key, properties.content_type, body] }
  x.publish("lost", routing_key: "nowhere-at-all", mandatory: true, content_type: "text/plain")
  ch.wait_for_confirms
  eventually { returned.size == 1 }
  equal [312, "NO_ROUTE", "nowhere-at-all", "text/plain", "lost"], returned[0]
end

check "prefetch holds deliveries back until they are acknowledged" do |ch|
  ch.prefetch(3)
  q = ch.queue("", exclusive: true)
  10.times { |n| q.publish(n.to_s) }
  tags = Queue.new
  q.subscribe(manual_ack: true) { |info, _, _| tags << info.delivery_tag }
  eventually { tags.size == 3 }
  sleep 0.3
  equal 3, tags.size
  last = 3.times.map { tags.pop }.last
  ch.ack(last, true)
  eventually { tags.size == 3 }
end

check "nack with requeue puts messages back in their place, redelivered" do |ch|
  q = ch.queue("", exclusive: true)
  5.times { |n| q.publish(n.to_s) }
  eventually { q.message_count == 5 }
  last = nil
  3.times { last = q.pop(manual_ack: true)[0].delivery_tag }
  ch.nack(last, true, true)
  got = pops(q, 5)
  equal %w[0 1 2 3 4], got.map(&:last)
  equal [true, true, true, false, false], got.map { |info, _, _| info.redelivered? }
end

check "reject without requeue drops" do |ch|
  q = ch.queue("", exclusive: true)
  q.publish("x")
  info, = pops(q, 1, manual_ack: true)[0]
  ch.reject(info.delivery_tag, false)
  equal 0, q.message_count
end

check "what a closed channel had not acknowledged comes to another" do |ch, connection|
  q = ch.queue("", exclusive: true)
  q.publish("x")
  other = connection.create_channel
  pops(other.queue(q.name, passive: true), 1, manual_ack: true)
  other.close
  equal true, pops(q, 1)[0][0].redelivered?
end

check "a consumer hears that its queue was deleted" do |ch, connection|
  q = connection.create_channel.queue(name("doomed"))
  cancelled = Queue.new
  consumer = Bunny::Consumer.new(ch, ch.queue(q.name, passive: true))
  consumer.on_cancellation { |cancel| cancelled << cancel.consumer_tag }
  ch.queue(q.name, passive: true).subscribe_with(consumer)
  q.delete
  equal consumer.consumer_tag, cancelled.pop
end

check "exchange types route" do |ch|
  q = ch.queue("", exclusive: true)
  direct, fanout, topic, headers = ch.direct(name("d")), ch.fanout(name("f")), ch.topic(name("t")), ch.headers(name("h"))
  q.bind(direct, routing_key: "k").bind(fanout).bind(topic, routing_key: "a.*.#").bind(headers, arguments: { "x-match" => "all", "one" => 1, "two" => "2" })
  direct.publish("direct", routing_key: "k")
  direct.publish("no", routing_key: "other")
  fanout.publish("fanout", routing_key: "any")
  topic.publish("topic", routing_key: "a.b.c.d")
  topic.publish("no", routing_key: "b.a")
  headers.publish("headers", headers: { "one" => 1, "two" => "2", "three" => 3 })
  headers.publish("no", headers: { "one" => 1 })
  equal %w[direct fanout topic headers], pops(q, 4).map(&:last)
  equal nil, q.pop[2]
  [direct, fanout, topic, headers].each(&:delete)
end

check "exchanges bound to exchanges" do |ch|
  from, to, q = ch.fanout(name("from")), ch.direct(name("to")), ch.queue("", exclusive: true)
  to.bind(from, routing_key: "k")
  q.bind(to, routing_key: "k")
  from.publish("through", routing_key: "k")
  equal "through", pops(q, 1)[0].last
  to.unbind(from, routing_key: "k")
  from.publish("gone", routing_key: "k")
  equal nil, q.pop[2]
  from.delete
  to.delete
end

check "an alternate exchange takes what no binding wants" do |ch|
  rest = ch.fanout(name("rest"))
  x = ch.direct(name("main"), arguments: { "alternate-exchange" => rest.name })
  q = ch.queue("", exclusive: true).bind(rest)
  x.publish("unroutable", routing_key: "nobody")
  equal "unroutable", pops(q, 1)[0].last
  x.delete
  rest.delete
end

check "headers keep their types" do |ch|
  q = ch.queue("", exclusive: true)
  sent = { "int" => 7, "big" => 1 << 40, "negative" => -3, "float" => 1.5, "yes" => true, "no" => false, "nothing" => nil, "text" => "text",
           "time" => Time.at(1_700_000_000), "list" => [1, "two", [3]], "table" => { "deep" => { "er" => 1 } } }
  q.publish("x", headers: sent, priority: 5, timestamp: Time.at(1_700_000_000).to_i, type: "t", app_id: "a", correlation_id: "c", reply_to: "r", expiration: "60000", content_encoding: "e")
  _, properties, = pops(q, 1)[0]
  sent.each { |key, value| equal [key, value], [key, properties.headers[key]] }
  equal [5, "t", "a", "c", "r", "60000", "e", 1_700_000_000], [properties.priority, properties.type, properties.app_id, properties.correlation_id, properties.reply_to, properties.expiration, properties.content_encoding, properties.timestamp.to_i]
end

check "transactions: commit and rollback of publishes and acknowledgements" do |ch|
  q = ch.queue("", exclusive: true)
  ch.tx_select
  q.publish("kept")
  equal 0, q.message_count
  ch.tx_commit
  equal 1, q.message_count
  q.publish("dropped")
  ch.tx_rollback
  equal 1, q.message_count
  info, = q.pop(manual_ack: true)
  ch.ack(info.delivery_tag)
  ch.tx_rollback
  ch.ack(info.delivery_tag)
  ch.tx_commit
  equal 0, q.message_count
end

check "direct reply-to" do |ch, connection|
  server = connection.create_channel
  q = server.queue("", exclusive: true)
  q.subscribe { |_, properties, body| server.default_exchange.publish("re: #{body}", routing_key: properties.reply_to, correlation_id: properties.correlation_id) }
  replies = Queue.new
  ch.basic_consume("amq.rabbitmq.reply-to", "", true) { |_, properties, body| replies << [properties.correlation_id, body] }
  ch.default_exchange.publish("ask", routing_key: q.name, reply_to: "amq.rabbitmq.reply-to", correlation_id: "7")
  equal ["7", "re: ask"], replies.pop
end

check "dead letters: rejected ones arrive with their history" do |ch|
  dead = ch.fanout(name("dead"))
  grave = ch.queue("", exclusive: true).bind(dead)
  q = ch.queue("", exclusive: true, arguments: { "x-dead-letter-exchange" => dead.name, "x-dead-letter-routing-key" => "late" })
  q.publish("x")
  info, = pops(q, 1, manual_ack: true)[0]
  ch.reject(info.delivery_tag, false)
  info, properties, body = pops(grave, 1)[0]
  death = properties.headers["x-death"][0]
  equal ["x", "late", "rejected", q.name, 1, "", [q.name]], [body, info.routing_key, *death.values_at("reason", "queue", "count", "exchange", "routing-keys")]
  equal ["rejected", q.name, ""], properties.headers.values_at("x-first-death-reason", "x-first-death-queue", "x-first-death-exchange")
  dead.delete
end

check "messages expire: by themselves and by their queue" do |ch|
  q = ch.queue("", exclusive: true, arguments: { "x-message-ttl" => 60_000 })
  q.publish("soon", expiration: "100")
  q.publish("late")
  eventually { q.message_count == 1 }
  equal "late", pops(q, 1)[0].last
end

check "a bounded queue drops its oldest, or refuses" do |ch|
  q = ch.queue("", exclusive: true, arguments: { "x-max-length" => 3 })
  5.times { |n| q.publish(n.to_s) }
  eventually { q.message_count == 3 }
  equal %w[2 3 4], pops(q, 3).map(&:last)
  strict = ch.queue("", exclusive: true, arguments: { "x-max-length" => 1, "x-overflow" => "reject-publish" })
  ch.confirm_select
  strict.publish("in")
  equal true, ch.wait_for_confirms
  strict.publish("out")
  equal false, ch.wait_for_confirms
end

check "priorities" do |ch|
  q = ch.queue("", exclusive: true, arguments: { "x-max-priority" => 9 })
  [1, 9, 5, 9, 0].each_with_index { |priority, n| q.publish("#{priority}#{n}", priority: priority) }
  eventually { q.message_count == 5 }
  equal %w[91 93 52 10 04], pops(q, 5).map(&:last)
end

check "large messages, empty messages" do |ch|
  q = ch.queue("", exclusive: true)
  large = Random.bytes(8 << 20)
  q.publish(large)
  q.publish("")
  got = pops(q, 2).map(&:last)
  equal [true, ""], [got[0] == large.b, got[1]]
end

check "many channels" do |_, connection|
  channels = 200.times.map { connection.create_channel }
  q = channels[0].queue("", exclusive: true)
  channels.each { |ch| ch.default_exchange.publish("x", routing_key: q.name) }
  eventually { q.message_count == 200 }
  channels[1..].each(&:close)
  equal 200, q.purge[:message_count] || q.purge.message_count rescue equal 0, q.message_count
end

check "errors close the channel with their reason, and nothing else" do |ch, connection|
  begin
    ch.queue("no-such-queue-#{rand(1 << 40)}", passive: true)
    raise "not refused"
  rescue Bunny::NotFound => e
    equal true, e.message.start_with?("NOT_FOUND - no queue 'no-such-queue")
  end
  q = connection.create_channel.queue(name("q"), exclusive: true)
  begin
    connection.create_channel.queue(q.name, auto_delete: true, exclusive: true)
    raise "not refused"
  rescue Bunny::PreconditionFailed, Bunny::ResourceLocked => e
    equal true, e.message.start_with?("PRECONDITION_FAILED - inequivalent arg 'auto_delete'") || e.message.start_with?("RESOURCE_LOCKED")
  end
  equal true, connection.open?
end

check "exclusive queues are their connection's" do |ch|
  q = ch.queue("", exclusive: true)
  other = connect
  begin
    other.create_channel.queue(q.name, passive: true)
    raise "not refused"
  rescue Bunny::ResourceLocked => e
    equal true, e.message.start_with?("RESOURCE_LOCKED")
  ensure
    other.close
  end
end

check "a wrong password is refused" do
  Bunny.new(host: HOST, port: PORT, user: "guest", password: "wrong", log_level: :fatal).start
  raise "not refused"
rescue Bunny::AuthenticationFailureError
  nil
end

check "server properties" do |_, connection|
  capabilities = connection.server_properties["capabilities"]
  %w[publisher_confirms basic.nack consumer_cancel_notify connection.blocked consumer_priorities per_consumer_qos direct_reply_to].each { |one| equal true, capabilities[one] }
end

puts "1..#{$count}"
