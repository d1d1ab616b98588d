package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const limit = 60 * time.Second

// suite counts named checks. A check fails by panicking with what was wrong.
type suite struct {
	passed, failed int
	run            string
	admin          *kadm.Client
}

func runChecks() int {
	s := &suite{run: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().Unix())}
	client := s.client()
	defer client.Close()
	s.admin = kadm.NewClient(client)
	s.topicChecks()
	s.produceChecks()
	s.consumeChecks()
	s.groupChecks()
	s.configChecks()
	s.versionChecks()
	s.securityChecks()
	fmt.Printf("franz-go: %d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		return 1
	}
	return 0
}

func (s *suite) check(name string, body func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	start := time.Now()
	defer func() {
		took := time.Since(start).Milliseconds()
		if problem := recover(); problem != nil {
			s.failed++
			fmt.Printf("FAIL %s (%d ms): %v\n", name, took, problem)
			return
		}
		s.passed++
		fmt.Printf("ok   %s (%d ms)\n", name, took)
	}()
	body(ctx)
}

func (s *suite) name(what string) string { return what + "-" + s.run }

// client connects with the key of the environment; later options win.
func (s *suite) client(options ...kgo.Opt) *kgo.Client {
	login := plain.Auth{User: os.Getenv("API_KEY"), Pass: os.Getenv("API_SECRET")}
	base := []kgo.Opt{kgo.SeedBrokers(strings.Split(os.Getenv("BOOTSTRAP_SERVERS"), ",")...), kgo.SASL(login.AsMechanism())}
	client, err := kgo.NewClient(append(base, options...)...)
	must(err)
	return client
}

// topic makes a topic and waits until every partition answers: Apache Kafka tells of a leader before it can append.
func (s *suite) topic(ctx context.Context, what string, partitions int32, configs map[string]*string) string {
	topic := s.name(what)
	_, err := s.admin.CreateTopic(ctx, partitions, -1, configs, topic)
	must(err)
	eventually(ctx, topic+" has leaders", func() bool {
		offsets, err := s.admin.ListEndOffsets(ctx, topic)
		return err == nil && offsets.Error() == nil && len(offsets[topic]) == int(partitions)
	})
	return topic
}

// produce writes count records value-N with the given options and returns them as acknowledged.
func (s *suite) produce(ctx context.Context, topic string, first, count int, options ...kgo.Opt) []*kgo.Record {
	client := s.client(append([]kgo.Opt{kgo.DefaultProduceTopic(topic)}, options...)...)
	defer client.Close()
	var records []*kgo.Record
	for number := first; number < first+count; number++ {
		records = append(records, &kgo.Record{Key: fmt.Appendf(nil, "key-%d", number), Value: fmt.Appendf(nil, "value-%d", number)})
	}
	must(client.ProduceSync(ctx, records...).FirstErr())
	return records
}

func read(ctx context.Context, client *kgo.Client, count int) []*kgo.Record {
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			panic(fmt.Sprintf("%v after %d of %d records", err, len(records), count))
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			panic(fmt.Sprintf("%s [%d]: %v", topic, partition, err))
		})
		records = append(records, fetches.Records()...)
	}
	equal(count, len(records), "records read")
	return records
}

func (s *suite) readAll(ctx context.Context, topic string, count int, options ...kgo.Opt) []*kgo.Record {
	base := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	client := s.client(append(base, options...)...)
	defer client.Close()
	return read(ctx, client, count)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal[T comparable](expected, actual T, what string) {
	if expected != actual {
		panic(fmt.Sprintf("%s: expected %v, got %v", what, expected, actual))
	}
}

func failsWith(expected *kerr.Error, err error) {
	if err == nil || !strings.Contains(err.Error(), expected.Message) {
		panic(fmt.Sprintf("expected %s, got %v", expected.Message, err))
	}
}

func eventually(ctx context.Context, what string, condition func() bool) {
	for !condition() {
		select {
		case <-ctx.Done():
			panic("never: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func text(value string) *string { return &value }
