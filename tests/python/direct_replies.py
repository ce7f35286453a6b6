"""Remote procedure calls by direct reply-to, as in RabbitMQ's guide."""

import pika

from broker import connect, name

connection = connect()
client, server = connection.channel(), connection.channel()
queue = name("rpc")
server.queue_declare(queue, exclusive=True)


def serve(channel, method, properties, body):
    assert properties.reply_to.startswith("amq.rabbitmq.reply-to.")
    channel.basic_publish("", properties.reply_to, body.upper(), pika.BasicProperties(correlation_id=properties.correlation_id))


answers = {}


def answered(channel, method, properties, body):
    answers[properties.correlation_id] = body


server.basic_consume(queue, serve, auto_ack=True)
client.basic_consume("amq.rabbitmq.reply-to", answered, auto_ack=True)
for number in range(20):
    properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=str(number))
    client.basic_publish("", queue, f"call {number}", properties)
for _ in range(100):
    if len(answers) == 20:
        break
    connection.process_data_events(time_limit=1)
assert answers == {str(number): f"CALL {number}".encode() for number in range(20)}, answers
connection.close()
