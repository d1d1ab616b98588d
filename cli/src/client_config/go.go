// go mod init example && go mod tidy && go run .
package main

import (
	"context"
{{tls_imports}}	"fmt"
	"log"
{{os_import}}	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const topic = "tweets"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

{{authority}}	client, err := kgo.NewClient(
		kgo.SeedBrokers("{{bootstrap_server}}"),
		kgo.SASL(plain.Auth{User: "{{key}}", Pass: "{{secret}}"}.AsMechanism()),
{{dial}}		kgo.ConsumerGroup("go-example"),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	record := &kgo.Record{Topic: topic, Value: []byte("hello from Go")}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		log.Fatal(err)
	}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() == nil {
				log.Fatalf("cannot consume %s [%d]: %v", topic, partition, err)
			}
		})
		fetches.EachRecord(func(record *kgo.Record) { fmt.Println(string(record.Value)) })
	}
}
