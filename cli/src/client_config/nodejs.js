// npm install @confluentinc/kafka-javascript
const { Kafka } = require('@confluentinc/kafka-javascript').KafkaJS;

const config = {
  'bootstrap.servers': '{{bootstrap_server}}',
  'security.protocol': '{{protocol}}',
  'sasl.mechanisms': 'PLAIN',
  'sasl.username': '{{key}}',
  'sasl.password': '{{secret}}',
{{ca}}};

async function main() {
  const topic = process.argv[2] ?? 'tweets';
  const kafka = new Kafka();

  const producer = kafka.producer(config);
  await producer.connect();
  await producer.send({ topic, messages: [{ value: 'hello from Node.js' }] });
  await producer.disconnect();

  const consumer = kafka.consumer({ ...config, 'group.id': 'nodejs-example', 'auto.offset.reset': 'earliest' });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic] });
  process.once('SIGINT', () => consumer.disconnect());
  await consumer.run({
    eachMessage: async ({ message }) => console.log(message.value.toString()),
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
