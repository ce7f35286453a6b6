<?php
// php-amqplib, as its users use it. Prints TAP.

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$count = 0;

function connect(): AMQPStreamConnection
{
    return new AMQPStreamConnection(getenv('STOA_SUITE_HOST'), (int) getenv('STOA_SUITE_PORT'), 'guest', 'guest');
}

function check(string $name, callable $body): void
{
    global $count;
    $count++;
    $connection = null;
    try {
        $connection = connect();
        $body($connection->channel(), $connection);
        echo "ok $count - $name\n";
    } catch (\Throwable $e) {
        echo "not ok $count - $name\n# " . get_class($e) . ': ' . str_replace("\n", "\n# ", $e->getMessage()) . ' at line ' . $e->getLine() . "\n";
    }
    try {
        $connection && $connection->close();
    } catch (\Throwable $e) {
    }
}

function equal($expected, $got): void
{
    if ($expected !== $got) {
        throw new \Exception('expected ' . json_encode($expected) . ', got ' . json_encode($got));
    }
}

function queue(AMQPChannel $channel, array $arguments = []): string
{
    return $channel->queue_declare('', false, false, true, true, false, new AMQPTable($arguments))[0];
}

function ready(AMQPChannel $channel, string $queue): int
{
    return $channel->queue_declare($queue, true)[1];
}

function eventually(callable $holds): void
{
    for ($n = 0; $n < 100; $n++) {
        if ($holds()) {
            return;
        }
        usleep(50000);
    }
    throw new \Exception('it did not come about');
}

function take(AMQPChannel $channel, string $queue, bool $noAck = true): AMQPMessage
{
    $message = null;
    eventually(function () use (&$message, $channel, $queue, $noAck) {
        $message = $channel->basic_get($queue, $noAck);
        return $message !== null;
    });
    return $message;
}

function send(AMQPChannel $channel, string $key, string $body, array $properties = [], string $exchange = ''): void
{
    $channel->basic_publish(new AMQPMessage($body, $properties), $exchange, $key);
}

function unique(string $stem): string
{
    return $stem . '-' . bin2hex(random_bytes(8));
}

check('publish, get, acknowledge; counts', function ($ch) {
    $q = queue($ch);
    foreach (['a', 'b', 'c'] as $body) {
        send($ch, $q, $body);
    }
    eventually(fn () => ready($ch, $q) === 3);
    $message = take($ch, $q, false);
    equal(['a', 2, false], [$message->body, (int) $message->getMessageCount(), (bool) $message->isRedelivered()]);
    $message->ack();
    equal(['b', 'c'], [take($ch, $q)->body, take($ch, $q)->body]);
    equal(null, $ch->basic_get($q));
});

check('confirms', function ($ch) {
    $ch->confirm_select();
    $acked = 0;
    $ch->set_ack_handler(function () use (&$acked) {
        $acked++;
    });
    $q = unique('durable');
    $ch->queue_declare($q, false, true, false, false);
    for ($n = 0; $n < 100; $n++) {
        send($ch, $q, "$n", ['delivery_mode' => 2]);
    }
    $ch->wait_for_pending_acks(20);
    equal([100, 100], [$acked, ready($ch, $q)]);
    equal(100, $ch->queue_delete($q));
});

check('mandatory messages come back before their confirm', function ($ch) {
    $ch->confirm_select();
    $order = [];
    $ch->set_ack_handler(function () use (&$order) {
        $order[] = 'ack';
    });
    $ch->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$order) {
        $order[] = [$code, $text, $exchange, $key, $message->body];
    });
    $ch->basic_publish(new AMQPMessage('lost'), '', 'nowhere-at-all', true);
    $ch->wait_for_pending_acks_returns(20);
    equal([[312, 'NO_ROUTE', '', 'nowhere-at-all', 'lost'], 'ack'], $order);
});

check('prefetch', function ($ch) {
    $q = queue($ch);
    for ($n = 0; $n < 10; $n++) {
        send($ch, $q, "$n");
    }
    $ch->basic_qos(0, 3, false);
    $seen = [];
    $ch->basic_consume($q, '', false, false, false, false, function ($message) use (&$seen) {
        $seen[] = $message;
    });
    try {
        while (true) {
            $ch->wait(null, false, 0.5);
        }
    } catch (\PhpAmqpLib\Exception\AMQPTimeoutException $e) {
    }
    equal(3, count($seen));
    end($seen)->ack(true);
    $ch->wait(null, false, 10);
    equal(true, count($seen) >= 4);
});

check('prefetch of the whole channel', function ($ch) {
    $q = queue($ch);
    for ($n = 0; $n < 10; $n++) {
        send($ch, $q, "$n");
    }
    $ch->basic_qos(0, 4, true);
    $seen = 0;
    foreach (['one', 'two'] as $tag) {
        $ch->basic_consume($q, $tag, false, false, false, false, function () use (&$seen) {
            $seen++;
        });
    }
    try {
        while (true) {
            $ch->wait(null, false, 0.5);
        }
    } catch (\PhpAmqpLib\Exception\AMQPTimeoutException $e) {
    }
    equal(4, $seen);
});

check('nack with requeue puts messages back in their place', function ($ch) {
    $q = queue($ch);
    foreach (['0', '1', '2', '3'] as $body) {
        send($ch, $q, $body);
    }
    take($ch, $q, false);
    take($ch, $q, false)->nack(true, true);
    $got = [];
    for ($n = 0; $n < 4; $n++) {
        $message = take($ch, $q);
        $got[] = [$message->body, (bool) $message->isRedelivered()];
    }
    equal([['0', true], ['1', true], ['2', false], ['3', false]], $got);
});

check('a consumer hears that its queue was deleted', function ($ch, $connection) {
    $q = unique('doomed');
    $ch->queue_declare($q);
    $ch->basic_consume($q, 'tag', false, false, false, false, function () {
    });
    $connection->channel()->queue_delete($q);
    try {
        $ch->wait(null, false, 10);
        throw new \Exception('not told');
    } catch (\PhpAmqpLib\Exception\AMQPBasicCancelException $e) {
        equal('tag', $e->consumerTag);
    }
});

check('exchange types route', function ($ch) {
    $q = queue($ch);
    $names = [];
    foreach (['direct', 'fanout', 'topic', 'headers'] as $type) {
        $names[$type] = unique($type);
        $ch->exchange_declare($names[$type], $type);
    }
    $ch->queue_bind($q, $names['direct'], 'k');
    $ch->queue_bind($q, $names['fanout']);
    $ch->queue_bind($q, $names['topic'], '#.c.*');
    $ch->queue_bind($q, $names['headers'], '', false, new AMQPTable(['x-match' => 'any', 'one' => 1, 'two' => 'zwei']));
    send($ch, 'k', 'direct', [], $names['direct']);
    send($ch, 'x', 'no', [], $names['direct']);
    send($ch, '', 'fanout', [], $names['fanout']);
    send($ch, 'a.b.c.d', 'topic', [], $names['topic']);
    send($ch, 'c', 'no', [], $names['topic']);
    send($ch, '', 'headers', ['application_headers' => new AMQPTable(['two' => 'zwei'])], $names['headers']);
    send($ch, '', 'no', ['application_headers' => new AMQPTable(['two' => 'drei'])], $names['headers']);
    $got = [];
    for ($n = 0; $n < 4; $n++) {
        $got[] = take($ch, $q)->body;
    }
    equal(['direct', 'fanout', 'topic', 'headers'], $got);
    equal(null, $ch->basic_get($q));
    foreach ($names as $name) {
        $ch->exchange_delete($name);
    }
});

check('headers keep their types', function ($ch) {
    $q = queue($ch);
    $sent = ['int' => 7, 'big' => 1 << 40, 'negative' => -3, 'yes' => true, 'no' => false, 'nothing' => null, 'text' => 'ä', 'list' => [1, 'two', [3]], 'table' => ['deep' => ['er' => 1]]];
    send($ch, $q, 'x', ['application_headers' => new AMQPTable($sent), 'content_type' => 'a/b', 'priority' => 5, 'correlation_id' => 'c', 'expiration' => '60000', 'timestamp' => 1700000000, 'message_id' => 'm']);
    $message = take($ch, $q);
    $got = $message->get('application_headers')->getNativeData();
    ksort($got);
    ksort($sent);
    equal($sent, $got);
    equal(['a/b', 5, 'c', '60000', 1700000000, 'm'], array_map(fn ($name) => $message->get($name), ['content_type', 'priority', 'correlation_id', 'expiration', 'timestamp', 'message_id']));
});

check('transactions', function ($ch) {
    $q = queue($ch);
    $ch->tx_select();
    send($ch, $q, 'kept');
    equal(0, ready($ch, $q));
    $ch->tx_commit();
    equal(1, ready($ch, $q));
    send($ch, $q, 'dropped');
    $ch->tx_rollback();
    equal(1, ready($ch, $q));
});

check('direct reply-to', function ($ch, $connection) {
    $server = $connection->channel();
    $q = queue($server);
    $server->basic_consume($q, '', false, true, false, false, function ($request) use ($server) {
        send($server, $request->get('reply_to'), 're: ' . $request->body, ['correlation_id' => $request->get('correlation_id')]);
    });
    $reply = null;
    $ch->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function ($message) use (&$reply) {
        $reply = [$message->get('correlation_id'), $message->body];
    });
    send($ch, $q, 'ask', ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => '7']);
    $server->wait(null, false, 10);
    $ch->wait(null, false, 10);
    equal(['7', 're: ask'], $reply);
});

check('dead letters of expired messages', function ($ch) {
    $dead = unique('dead');
    $ch->exchange_declare($dead, 'fanout');
    $grave = queue($ch);
    $ch->queue_bind($grave, $dead);
    $q = queue($ch, ['x-dead-letter-exchange' => $dead, 'x-message-ttl' => 50]);
    send($ch, $q, 'x', ['delivery_mode' => 2]);
    $message = take($ch, $grave);
    $death = $message->get('application_headers')->getNativeData()['x-death'][0];
    equal(['x', 'expired', $q, 1, [$q]], [$message->body, $death['reason'], $death['queue'], $death['count'], $death['routing-keys']]);
    $ch->exchange_delete($dead);
});

check('priorities', function ($ch) {
    $q = queue($ch, ['x-max-priority' => 9]);
    foreach ([1, 9, 5] as $priority) {
        send($ch, $q, "$priority", ['priority' => $priority]);
    }
    eventually(fn () => ready($ch, $q) === 3);
    equal(['9', '5', '1'], [take($ch, $q)->body, take($ch, $q)->body, take($ch, $q)->body]);
});

check('large messages, empty messages', function ($ch) {
    $q = queue($ch);
    $large = random_bytes(3 << 20);
    send($ch, $q, $large);
    send($ch, $q, '');
    equal([true, ''], [take($ch, $q)->body === $large, take($ch, $q)->body]);
});

check('many channels', function ($ch, $connection) {
    $q = queue($ch);
    for ($n = 0; $n < 100; $n++) {
        send($connection->channel(), $q, 'x');
    }
    eventually(fn () => ready($ch, $q) === 100);
    equal(100, (int) $ch->queue_purge($q));
});

check('errors close the channel with their reason', function ($ch, $connection) {
    try {
        $ch->queue_declare('no-such-queue', true);
        throw new \Exception('not refused');
    } catch (AMQPProtocolChannelException $e) {
        equal([404, "NOT_FOUND - no queue 'no-such-queue' in vhost '/'"], [$e->getCode(), $e->getMessage()]);
    }
    $other = $connection->channel();
    $q = unique('q');
    $other->queue_declare($q, false, false, false, true);
    try {
        $other->queue_declare($q, false, true, false, true);
        throw new \Exception('not refused');
    } catch (AMQPProtocolChannelException $e) {
        equal([406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '$q' in vhost '/': received 'true' but current is 'false'"], [$e->getCode(), $e->getMessage()]);
    }
    $connection->channel()->queue_delete($q);
});

echo "1..$count\n";
