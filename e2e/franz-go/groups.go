package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s *suite) member(group, topic string, options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(300 * time.Millisecond), kgo.SessionTimeout(10 * time.Second)}
	return s.client(append(base, options...)...)
}

func (s *suite) groupChecks() {
	s.check("a group commits and goes on where it was", func(ctx context.Context) {
		topic, group := s.topic(ctx, "commit", 3, nil), s.name("commit")
		s.produce(ctx, topic, 0, 300)
		first := s.member(group, topic)
		read(ctx, first, 300)
		must(first.CommitUncommittedOffsets(ctx))
		first.Close()
		s.produce(ctx, topic, 300, 30)
		second := s.member(group, topic)
		defer second.Close()
		read(ctx, second, 30)
	})
	for name, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "round robin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(), "cooperative sticky": kgo.CooperativeStickyBalancer(),
	} {
		s.check("two members share six partitions and one takes over ("+name+")", func(ctx context.Context) { s.sharing(ctx, name, balancer) })
	}
	s.check("static members come back without a rebalance", func(ctx context.Context) {
		topic, group := s.topic(ctx, "static", 2, nil), s.name("static")
		s.produce(ctx, topic, 0, 20)
		first := s.member(group, topic, kgo.InstanceID("one"))
		read(ctx, first, 20)
		must(first.CommitUncommittedOffsets(ctx))
		_, generation := first.GroupMetadata()
		first.CloseAllowingRebalance()
		s.produce(ctx, topic, 20, 5)
		again := s.member(group, topic, kgo.InstanceID("one"))
		defer again.Close()
		read(ctx, again, 5)
		_, after := again.GroupMetadata()
		equal(generation, after, "generation")
		_, err := s.admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("one"))
		must(err)
	})
	s.check("groups are listed, described, fetched and deleted", func(ctx context.Context) {
		topic, group := s.topic(ctx, "admin-group", 2, nil), s.name("admin-group")
		s.produce(ctx, topic, 0, 10)
		member := s.member(group, topic)
		read(ctx, member, 10)
		must(member.CommitUncommittedOffsets(ctx))
		described, err := s.admin.DescribeGroups(ctx, group)
		must(err)
		equal("Stable", described[group].State, "state")
		equal(1, len(described[group].Members), "members")
		listed, err := s.admin.ListGroups(ctx, "Stable")
		must(err)
		if _, there := listed[group]; !there {
			panic("not listed as stable")
		}
		lag, err := s.admin.Lag(ctx, group)
		must(err)
		equal(int64(0), lag[group].Lag.Total(), "lag")
		_, err = s.admin.DeleteGroup(ctx, group)
		failsWith(kerr.NonEmptyGroup, err)
		member.Close()
		eventually(ctx, "empty", func() bool {
			described, err := s.admin.DescribeGroups(ctx, group)
			return err == nil && described[group].State == "Empty"
		})
		_, err = s.admin.DeleteGroup(ctx, group)
		must(err)
		_, err = s.admin.DeleteGroup(ctx, group)
		failsWith(kerr.GroupIDNotFound, err)
	})
	s.check("offsets are committed and deleted by the admin", func(ctx context.Context) {
		topic, group := s.topic(ctx, "admin-offsets", 2, nil), s.name("admin-offsets")
		s.produce(ctx, topic, 0, 10)
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 3, LeaderEpoch: -1, Metadata: "three"})
		offsets.Add(kadm.Offset{Topic: topic, Partition: 1, At: 0, LeaderEpoch: -1})
		must(s.admin.CommitAllOffsets(ctx, group, offsets))
		fetched, err := s.admin.FetchOffsets(ctx, group)
		must(err)
		equal(int64(3), fetched[topic][0].At, "offset")
		equal("three", fetched[topic][0].Metadata, "metadata")
		deleted, err := s.admin.DeleteOffsets(ctx, group, kadm.TopicsSet{topic: {1: {}}})
		must(err)
		must(deleted.Error())
		fetched, err = s.admin.FetchOffsets(ctx, group)
		must(err)
		if _, there := fetched.Lookup(topic, 1); there {
			panic("the deleted offset is still there")
		}
	})
	s.check("the offsets of several groups are fetched at once", func(ctx context.Context) {
		topic := s.topic(ctx, "several", 1, nil)
		var groups []string
		for _, what := range []string{"several-1", "several-2", "several-3"} {
			var offsets kadm.Offsets
			offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: int64(len(groups)), LeaderEpoch: -1})
			must(s.admin.CommitAllOffsets(ctx, s.name(what), offsets))
			groups = append(groups, s.name(what))
		}
		for index, group := range groups {
			fetched := s.admin.FetchManyOffsets(ctx, groups...)
			must(fetched[group].Err)
			equal(int64(index), fetched[group].Fetched[topic][0].At, "offset of "+group)
		}
	})
}

func (s *suite) sharing(ctx context.Context, name string, balancer kgo.GroupBalancer) {
	what := "sharing-" + string(name[0]) + string(name[len(name)-1])
	if name == "cooperative sticky" {
		what = "sharing-cooperative"
	}
	topic, group := s.topic(ctx, what, 6, nil), s.name(what)
	s.produce(ctx, topic, 0, 600)
	first := s.watch(group, topic, balancer)
	defer first.stop()
	eventually(ctx, "the first member has everything", func() bool { return first.partitions() == 6 })
	second := s.watch(group, topic, balancer)
	eventually(ctx, "three partitions each", func() bool { return first.partitions() == 3 && second.partitions() == 3 })
	second.stop()
	eventually(ctx, "the first takes over", func() bool { return first.partitions() == 6 })
}

// watched is a member that polls by itself and knows what it was assigned.
type watched struct {
	mutex    sync.Mutex
	assigned map[int32]bool
	client   *kgo.Client
	done     chan struct{}
}

func (s *suite) watch(group, topic string, balancer kgo.GroupBalancer) *watched {
	w := &watched{assigned: map[int32]bool{}, done: make(chan struct{})}
	change := func(present bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			w.mutex.Lock()
			defer w.mutex.Unlock()
			for _, partition := range partitions[topic] {
				if present {
					w.assigned[partition] = true
				} else {
					delete(w.assigned, partition)
				}
			}
		}
	}
	w.client = s.member(group, topic, kgo.Balancers(balancer), kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	go func() {
		defer close(w.done)
		for !w.client.PollFetches(context.Background()).IsClientClosed() {
		}
	}()
	return w
}

func (w *watched) partitions() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.assigned)
}

func (w *watched) stop() {
	w.client.Close()
	<-w.done
}
