package main

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *suite) topicChecks() {
	s.check("the server answers every version it advertises for metadata", func(ctx context.Context) {
		client := s.client()
		defer client.Close()
		must(client.Ping(ctx))
		response, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
		must(err)
		index := slices.IndexFunc(response.ApiKeys, func(key kmsg.ApiVersionsResponseApiKey) bool { return key.ApiKey == int16(kmsg.Metadata) })
		if index < 0 {
			panic("metadata is not advertised")
		}
	})
	s.check("the cluster has an id and brokers", func(ctx context.Context) {
		metadata, err := s.admin.BrokerMetadata(ctx)
		must(err)
		if metadata.Cluster == "" || len(metadata.Brokers) == 0 {
			panic(metadata)
		}
	})
	s.check("a topic is created, listed with its id, and deleted", func(ctx context.Context) {
		topic := s.topic(ctx, "life", 3, nil)
		topics, err := s.admin.ListTopics(ctx, topic)
		must(err)
		equal(3, len(topics[topic].Partitions), "partitions")
		if topics[topic].ID == (kadm.TopicID{}) {
			panic("no topic id")
		}
		_, err = s.admin.DeleteTopic(ctx, topic)
		must(err)
		eventually(ctx, "topic is gone", func() bool {
			topics, err := s.admin.ListTopics(ctx)
			return err == nil && !topics.Has(topic)
		})
	})
	s.check("an existing topic is not created again", func(ctx context.Context) {
		topic := s.topic(ctx, "twice", 1, nil)
		_, err := s.admin.CreateTopic(ctx, 1, -1, nil, topic)
		failsWith(kerr.TopicAlreadyExists, err)
	})
	s.check("an illegal name is refused", func(ctx context.Context) {
		_, err := s.admin.CreateTopic(ctx, 1, -1, nil, "not legal")
		failsWith(kerr.InvalidTopicException, err)
	})
	s.check("an unknown config is refused", func(ctx context.Context) {
		_, err := s.admin.CreateTopic(ctx, 1, -1, map[string]*string{"no.such.config": text("1")}, s.name("config"))
		failsWith(kerr.InvalidConfig, err)
	})
	s.check("partitions are added and never taken away", func(ctx context.Context) {
		topic := s.topic(ctx, "grown", 1, nil)
		added, err := s.admin.UpdatePartitions(ctx, 4, topic)
		must(err)
		must(added.Error())
		eventually(ctx, "four partitions", func() bool {
			topics, err := s.admin.ListTopics(ctx, topic)
			return err == nil && len(topics[topic].Partitions) == 4
		})
		removed, err := s.admin.UpdatePartitions(ctx, 2, topic)
		must(err)
		failsWith(kerr.InvalidPartitions, removed.Error())
	})
	s.check("an unknown topic is not deleted", func(ctx context.Context) {
		_, err := s.admin.DeleteTopic(ctx, s.name("nobody"))
		failsWith(kerr.UnknownTopicOrPartition, err)
	})
	s.check("offsets are listed at the start, at the end and by time", func(ctx context.Context) {
		topic := s.topic(ctx, "offsets", 2, nil)
		s.produce(ctx, topic, 0, 10, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		end, err := s.admin.ListEndOffsets(ctx, topic)
		must(err)
		equal(int64(10), end[topic][0].Offset, "end")
		start, err := s.admin.ListStartOffsets(ctx, topic)
		must(err)
		equal(int64(0), start[topic][0].Offset, "start")
		early, err := s.admin.ListOffsetsAfterMilli(ctx, 1000, topic)
		must(err)
		equal(int64(0), early[topic][0].Offset, "after 1970")
		committed, err := s.admin.ListCommittedOffsets(ctx, topic)
		must(err)
		equal(int64(10), committed[topic][0].Offset, "last stable offset")
		largest, err := s.admin.ListMaxTimestampOffsets(ctx, topic)
		must(err)
		if largest[topic][0].Offset < 0 {
			panic(largest)
		}
	})
	s.check("records are deleted", func(ctx context.Context) {
		topic := s.topic(ctx, "delete-records", 1, nil)
		s.produce(ctx, topic, 0, 100)
		var before kadm.Offsets
		before.Add(kadm.Offset{Topic: topic, Partition: 0, At: 60})
		deleted, err := s.admin.DeleteRecords(ctx, before)
		must(err)
		equal(int64(60), deleted[topic][0].LowWatermark, "low watermark")
		equal(int64(60), s.readAll(ctx, topic, 40)[0].Offset, "first offset")
	})
	s.check("the epoch's end offset is the end of the log", func(ctx context.Context) {
		topic := s.topic(ctx, "epochs", 1, nil)
		record := s.produce(ctx, topic, 0, 7)[0]
		var asked kadm.OffsetForLeaderEpochRequest
		asked.Add(topic, 0, max(record.LeaderEpoch, 0))
		epochs, err := s.admin.OffetForLeaderEpoch(ctx, asked)
		must(err)
		equal(int64(7), epochs[topic][0].EndOffset, "end offset")
	})
}
