package main

import (
	"context"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func (s *suite) configChecks() {
	s.check("configs are described, altered and reset", func(ctx context.Context) {
		topic := s.topic(ctx, "configs", 1, map[string]*string{"retention.ms": text("100000")})
		equal("100000", s.config(ctx, topic, "retention.ms"), "retention.ms")
		s.alter(ctx, topic, kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: text("200000")})
		eventually(ctx, "the new value", func() bool { return s.config(ctx, topic, "retention.ms") == "200000" })
		s.alter(ctx, topic, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"})
		eventually(ctx, "the default", func() bool { return s.config(ctx, topic, "retention.ms") == "604800000" })
	})
	s.check("a wrong config value is refused", func(ctx context.Context) {
		topic := s.topic(ctx, "wrong-config", 1, nil)
		responses, err := s.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("soon")}}, topic)
		must(err)
		failsWith(kerr.InvalidConfig, responses[0].Err)
	})
}

func (s *suite) config(ctx context.Context, topic, key string) string {
	described, err := s.admin.DescribeTopicConfigs(ctx, topic)
	must(err)
	must(described[0].Err)
	for _, config := range described[0].Configs {
		if config.Key == key {
			return config.MaybeValue()
		}
	}
	panic(key + " is not described")
}

func (s *suite) alter(ctx context.Context, topic string, change kadm.AlterConfig) {
	responses, err := s.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
	must(err)
	must(responses[0].Err)
}

func (s *suite) securityChecks() {
	for what, login := range map[string]plain.Auth{
		"a wrong secret": {User: os.Getenv("API_KEY"), Pass: "wrong"},
		"an unknown key": {User: "NOSUCHKEYATALL00", Pass: os.Getenv("API_SECRET")},
	} {
		s.check(what+" is refused", func(ctx context.Context) {
			client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Getenv("BOOTSTRAP_SERVERS"), ",")...), kgo.SASL(login.AsMechanism()))
			must(err)
			defer client.Close()
			failsWith(kerr.SaslAuthenticationFailed, client.Ping(ctx))
		})
	}
	s.check("the right key is served after all that", func(ctx context.Context) {
		client := s.client()
		defer client.Close()
		must(client.Ping(ctx))
	})
}
