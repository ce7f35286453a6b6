// RabbitMQ's client for .NET as Debian has it for Mono: an early one, as old applications use it. Prints TAP.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

static class Program
{
    static readonly string Host = Environment.GetEnvironmentVariable("STOA_SUITE_HOST");
    static readonly int Port = int.Parse(Environment.GetEnvironmentVariable("STOA_SUITE_PORT"));
    static readonly List<KeyValuePair<string, Action<IConnection>>> Checks = new List<KeyValuePair<string, Action<IConnection>>>();
    const int Milliseconds = 20000;

    static void Check(string name, Action<IConnection> body) { Checks.Add(new KeyValuePair<string, Action<IConnection>>(name, body)); }

    static void Same<T>(T expected, T got)
    {
        if (!Equals(expected, got)) throw new Exception("expected " + expected + ", got " + got);
    }

    static byte[] Bytes(string text) { return Encoding.UTF8.GetBytes(text); }
    static string Text(object bytes) { return Encoding.UTF8.GetString((byte[])bytes); }

    static IConnection Connect(IProtocol protocol)
    {
        return new ConnectionFactory { HostName = Host, Port = Port, Protocol = protocol }.CreateConnection();
    }

    static BasicDeliverEventArgs Next(QueueingBasicConsumer consumer)
    {
        object delivery;
        if (!consumer.Queue.Dequeue(Milliseconds, out delivery)) throw new Exception("nothing was delivered");
        return (BasicDeliverEventArgs)delivery;
    }

    static OperationInterruptedExceptionCode Refused(Action mistake)
    {
        try { mistake(); }
        catch (RabbitMQ.Client.Exceptions.OperationInterruptedException interrupted)
        {
            return new OperationInterruptedExceptionCode { Code = interrupted.ShutdownReason.ReplyCode, Text = interrupted.ShutdownReason.ReplyText };
        }
        throw new Exception("nothing was refused");
    }

    struct OperationInterruptedExceptionCode { public ushort Code; public string Text; }

    static void Define()
    {
        Check("publish, get, acknowledge", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            for (var n = 0; n < 3; n++) model.BasicPublish("", queue, null, Bytes(n.ToString()));
            var first = model.BasicGet(queue, false);
            Same("0", Text(first.Body));
            Same(2u, first.MessageCount);
            model.BasicAck(first.DeliveryTag, false);
            Same("1", Text(model.BasicGet(queue, true).Body));
            Same("2", Text(model.BasicGet(queue, true).Body));
            Same(null, model.BasicGet(queue, true));
        });
        Check("a thousand messages to a consumer, in their order, with a prefetch", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            model.BasicQos(0, 10, false);
            var consumer = new QueueingBasicConsumer(model);
            model.BasicConsume(queue, null, consumer);
            for (var n = 0; n < 1000; n++) model.BasicPublish("", queue, null, Bytes(n.ToString()));
            for (var n = 0; n < 1000; n++)
            {
                var delivery = Next(consumer);
                Same(n.ToString(), Text(delivery.Body));
                model.BasicAck(delivery.DeliveryTag, false);
            }
        });
        Check("properties and headers of all types come as they went", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            var properties = model.CreateBasicProperties();
            properties.ContentType = "text/plain";
            properties.DeliveryMode = 2;
            properties.Priority = 4;
            properties.CorrelationId = "c";
            properties.Timestamp = new AmqpTimestamp(1234567890);
            properties.Headers = new Hashtable { { "number", 7 }, { "text", Bytes("ü") }, { "table", new Hashtable { { "x", 1 } } }, { "time", new AmqpTimestamp(5) } };
            model.BasicPublish("", queue, properties, Bytes("x"));
            var got = model.BasicGet(queue, true).BasicProperties;
            Same("text/plain", got.ContentType);
            Same((byte)4, got.Priority);
            Same(1234567890L, got.Timestamp.UnixTime);
            Same(7, (int)got.Headers["number"]);
            Same("ü", Text(got.Headers["text"]));
            Same(1, (int)((IDictionary)got.Headers["table"])["x"]);
        });
        Check("a message of a megabyte", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            var body = Enumerable.Range(0, 1 << 20).Select(n => (byte)(n * 31)).ToArray();
            model.BasicPublish("", queue, null, body);
            if (!body.SequenceEqual(model.BasicGet(queue, true).Body)) throw new Exception("another body");
        });
        Check("exchanges of the four types route", connection =>
        {
            var model = connection.CreateModel();
            foreach (var type in new[] { "direct", "fanout", "topic", "headers" })
            {
                var exchange = type + Guid.NewGuid();
                var queue = model.QueueDeclare();
                model.ExchangeDeclare(exchange, type);
                model.QueueBind(queue, exchange, type == "topic" ? "a.*" : "a.b", false, new Hashtable { { "x-match", "any" }, { "h", "1" } });
                var properties = model.CreateBasicProperties();
                properties.Headers = new Hashtable { { "h", "1" } };
                model.BasicPublish(exchange, "a.b", properties, Bytes(type));
                Same(type, Text(model.BasicGet(queue, true).Body));
                model.ExchangeDelete(exchange, false, false);
            }
        });
        Check("a mandatory message without a queue comes back", connection =>
        {
            var model = connection.CreateModel();
            var returned = new System.Threading.ManualResetEvent(false);
            ushort code = 0;
            model.BasicReturn += (_, back) => { code = back.ReplyCode; returned.Set(); };
            model.BasicPublish("", "nowhere" + Guid.NewGuid(), true, false, null, Bytes("x"));
            if (!returned.WaitOne(Milliseconds)) throw new Exception("it did not come back");
            Same((ushort)312, code);
        });
        Check("rejected with requeue, it comes again and is marked", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            model.BasicPublish("", queue, null, Bytes("x"));
            var first = model.BasicGet(queue, false);
            model.BasicReject(first.DeliveryTag, true);
            var again = model.BasicGet(queue, true);
            Same(true, again.Redelivered);
        });
        Check("a transaction", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            model.TxSelect();
            model.BasicPublish("", queue, null, Bytes("lost"));
            model.TxRollback();
            model.BasicPublish("", queue, null, Bytes("kept"));
            Same(null, model.BasicGet(queue, true));
            model.TxCommit();
            Same("kept", Text(model.BasicGet(queue, true).Body));
        });
        Check("what a channel is closed for", connection =>
        {
            Same((ushort)404, Refused(() => connection.CreateModel().BasicGet("none" + Guid.NewGuid(), true)).Code);
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            Same((ushort)406, Refused(() => connection.CreateModel().BasicConsume(queue, true, "", false, false, new Hashtable { { "x-priority", "high" } }, new QueueingBasicConsumer(model))).Code);
            Same(true, connection.IsOpen);
        });
        Check("purge and delete say how many messages there were", connection =>
        {
            var model = connection.CreateModel();
            var queue = model.QueueDeclare();
            for (var n = 0; n < 5; n++) model.BasicPublish("", queue, null, Bytes("x"));
            Same(5u, model.QueuePurge(queue, false));
            model.BasicPublish("", queue, null, Bytes("x"));
            Same(1u, model.QueueDelete(queue, false, false, false));
        });
    }

    static void Main()
    {
        Define();
        var protocols = new Dictionary<string, IProtocol> { { "0-9", Protocols.AMQP_0_9 } };
        var number = 0;
        foreach (var protocol in protocols)
        {
            foreach (var check in Checks)
            {
                number++;
                try
                {
                    using (var connection = Connect(protocol.Value)) check.Value(connection);
                    Console.WriteLine("ok {0} - {1}: {2}", number, protocol.Key, check.Key);
                }
                catch (Exception error)
                {
                    Console.WriteLine("not ok {0} - {1}: {2}", number, protocol.Key, check.Key);
                    foreach (var line in error.ToString().Split('\n')) Console.WriteLine("# " + line);
                }
            }
        }
        Console.WriteLine("1.." + number);
    }
}
