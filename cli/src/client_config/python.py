# pip install confluent-kafka
import sys

from confluent_kafka import Consumer, Producer

config = {
    "bootstrap.servers": "{{bootstrap_server}}",
    "security.protocol": "{{protocol}}",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": "{{key}}",
    "sasl.password": "{{secret}}",
{{ca}}}


def report(error, message):
    if error is not None:
        sys.exit(f"not delivered: {error}")
    print(f"delivered to {message.topic()} [{message.partition()}] at offset {message.offset()}")


def produce(topic, value):
    producer = Producer(config)
    producer.produce(topic, value=value, on_delivery=report)
    producer.flush()


def consume(topic, group):
    consumer = Consumer(config | {"group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                sys.exit(f"cannot consume: {message.error()}")
            print(message.value().decode())
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    topic = sys.argv[1] if len(sys.argv) > 1 else "tweets"
    produce(topic, "hello from Python")
    consume(topic, "python-example")
