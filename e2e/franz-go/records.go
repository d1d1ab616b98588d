package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s *suite) produceChecks() {
	s.check("an idempotent producer gets consecutive offsets", func(ctx context.Context) {
		topic := s.topic(ctx, "idempotent", 1, nil)
		for number, record := range s.produce(ctx, topic, 0, 5000) {
			equal(int64(number), record.Offset, "offset")
		}
		for number, record := range s.readAll(ctx, topic, 5000) {
			equal(fmt.Sprintf("value-%d", number), string(record.Value), "value")
		}
	})
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		s.check("compression "+name+" is read back unchanged", func(ctx context.Context) {
			topic := s.topic(ctx, "codec-"+name, 1, nil)
			s.produce(ctx, topic, 0, 2000, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond))
			for number, record := range s.readAll(ctx, topic, 2000) {
				equal(fmt.Sprintf("value-%d", number), string(record.Value), "value")
			}
		})
	}
	for name, acks := range map[string]kgo.Acks{"no": kgo.NoAck(), "leader": kgo.LeaderAck(), "all": kgo.AllISRAcks()} {
		s.check("acks of "+name+" without idempotence", func(ctx context.Context) {
			topic := s.topic(ctx, "acks-"+name, 1, nil)
			s.produce(ctx, topic, 0, 500, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
			s.readAll(ctx, topic, 500)
		})
	}
	s.check("headers, nulls and timestamps survive", func(ctx context.Context) {
		topic := s.topic(ctx, "headers", 1, nil)
		client := s.client()
		defer client.Close()
		when := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		record := &kgo.Record{Topic: topic, Timestamp: when, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "n", Value: nil}}}
		must(client.ProduceSync(ctx, record).FirstErr())
		got := s.readAll(ctx, topic, 1)[0]
		if got.Key != nil || got.Value != nil || len(got.Headers) != 2 || !bytes.Equal(got.Headers[0].Value, []byte("1")) || got.Headers[1].Value != nil {
			panic(fmt.Sprintf("%+v", got))
		}
		equal(when.UnixMilli(), got.Timestamp.UnixMilli(), "timestamp")
	})
	s.check("a record above max.message.bytes is refused", func(ctx context.Context) {
		topic := s.topic(ctx, "too-large", 1, map[string]*string{"max.message.bytes": text("20000")})
		client := s.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer client.Close()
		failsWith(kerr.MessageTooLarge, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 100_000)}).FirstErr())
		must(client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("small")}).FirstErr())
	})
	s.check("a producer makes the topic when it is allowed to", func(ctx context.Context) {
		topic := s.name("auto-created")
		s.produce(ctx, topic, 0, 10, kgo.AllowAutoTopicCreation())
		s.readAll(ctx, topic, 10)
	})
	s.check("an unknown topic is an error when it is not", func(ctx context.Context) {
		client := s.client(kgo.UnknownTopicRetries(1))
		defer client.Close()
		failsWith(kerr.UnknownTopicOrPartition, client.ProduceSync(ctx, &kgo.Record{Topic: s.name("nobody"), Value: []byte("v")}).FirstErr())
	})
	s.check("twenty producers write at once", func(ctx context.Context) {
		topic := s.topic(ctx, "twenty", 4, nil)
		results := make(chan error, 20)
		for producer := range 20 {
			go func() {
				client := s.client(kgo.DefaultProduceTopic(topic))
				defer client.Close()
				var records []*kgo.Record
				for number := range 200 {
					records = append(records, &kgo.Record{Value: fmt.Appendf(nil, "%d/%d", producer, number)})
				}
				results <- client.ProduceSync(ctx, records...).FirstErr()
			}()
		}
		for range 20 {
			must(<-results)
		}
		seen := map[string]bool{}
		for _, record := range s.readAll(ctx, topic, 4000) {
			seen[string(record.Value)] = true
		}
		equal(4000, len(seen), "different values")
	})
}

func (s *suite) consumeChecks() {
	s.check("a partition is read from an exact offset", func(ctx context.Context) {
		topic := s.topic(ctx, "exact", 1, nil)
		s.produce(ctx, topic, 0, 300)
		client := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(217)}}))
		defer client.Close()
		equal(int64(217), read(ctx, client, 83)[0].Offset, "first offset")
	})
	s.check("a partition is read from a time", func(ctx context.Context) {
		topic := s.topic(ctx, "from-time", 1, nil)
		client := s.client(kgo.DefaultProduceTopic(topic))
		defer client.Close()
		start := time.Now().Add(-time.Hour)
		for number := range 20 {
			must(client.ProduceSync(ctx, &kgo.Record{Timestamp: start.Add(time.Duration(number) * time.Minute), Value: []byte("v")}).FirstErr())
		}
		reader := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(start.Add(15*time.Minute).UnixMilli())))
		defer reader.Close()
		equal(int64(15), read(ctx, reader, 5)[0].Offset, "first offset")
	})
	s.check("an offset out of range starts again where told", func(ctx context.Context) {
		topic := s.topic(ctx, "out-of-range", 1, nil)
		s.produce(ctx, topic, 0, 10)
		client := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(5000)}}),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer client.Close()
		equal(int64(0), read(ctx, client, 10)[0].Offset, "first offset")
	})
	s.check("read committed reads what no transaction wrote", func(ctx context.Context) {
		topic := s.topic(ctx, "committed", 2, nil)
		s.produce(ctx, topic, 0, 100)
		s.readAll(ctx, topic, 100, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	})
	s.check("a waiting fetch is woken by a new record", func(ctx context.Context) {
		topic := s.topic(ctx, "woken", 1, nil)
		client := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(5*time.Second))
		defer client.Close()
		s.produce(ctx, topic, 0, 1)
		read(ctx, client, 1)
		producer := s.client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
		defer producer.Close()
		for range 5 {
			time.Sleep(50 * time.Millisecond)
			start := time.Now()
			must(producer.ProduceSync(ctx, &kgo.Record{Value: []byte("v")}).FirstErr())
			read(ctx, client, 1)
			if took := time.Since(start); took > 3*time.Second {
				panic(took)
			}
		}
	})
	s.check("a topic made again under its old name is read anew", func(ctx context.Context) {
		topic := s.topic(ctx, "again", 1, nil)
		s.produce(ctx, topic, 0, 10)
		_, err := s.admin.DeleteTopic(ctx, topic)
		must(err)
		eventually(ctx, "topic is gone", func() bool {
			topics, err := s.admin.ListTopics(ctx)
			return err == nil && !topics.Has(topic)
		})
		s.topic(ctx, "again", 1, nil)
		s.produce(ctx, topic, 50, 1)
		equal("value-50", string(s.readAll(ctx, topic, 1)[0].Value), "value")
	})
}
