package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// versionChecks asks every API that the server advertises in every version: a field that has no place in an old version must not
// cost the client its connection.
func (s *suite) versionChecks() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	example := example{topic: s.topic(ctx, "versions", 2, nil), group: s.name("versions"), run: s.run}
	s.produce(ctx, example.topic, 0, 10)
	topics, err := s.admin.ListTopics(ctx, example.topic)
	must(err)
	example.topicID = topics[example.topic].ID
	for _, api := range advertised() {
		name := kmsg.NameForKey(api.ApiKey)
		if api.ApiKey == int16(kmsg.SASLHandshake) || api.ApiKey == int16(kmsg.SASLAuthenticate) {
			continue
		}
		request := kmsg.RequestForKey(api.ApiKey)
		if request == nil || !example.fill(request, api.MaxVersion) {
			// Apache Kafka has many APIs more; whatever this product serves must be asked.
			if _, own := os.LookupEnv("REST_URL"); own {
				s.check(fmt.Sprintf("there is an example of %s (API %d)", name, api.ApiKey), func(context.Context) { panic("write one in versions.go") })
			}
			continue
		}
		s.check(fmt.Sprintf("%s is answered in versions %d to %d", name, api.MinVersion, api.MaxVersion), func(context.Context) {
			for version := api.MinVersion; version <= min(api.MaxVersion, request.MaxVersion()); version++ {
				if api.ApiKey == int16(kmsg.Produce) && version < 3 {
					continue // Advertised for the sake of old clients, refused since Apache Kafka 4.0.
				}
				example.ask(api.ApiKey, version)
			}
		})
	}
}

// example is what the requests are about.
type example struct {
	topic, group, run string
	topicID           [16]byte
}

func advertised() []kmsg.ApiVersionsResponseApiKey {
	request := kmsg.NewPtrApiVersionsRequest()
	return roundTrip(request).(*kmsg.ApiVersionsResponse).ApiKeys
}

// ask sends one request on a connection of its own and reads the answer in the same version.
func (e example) ask(key, version int16) {
	request := kmsg.RequestForKey(key)
	request.SetVersion(version)
	e.fill(request, version)
	defer func() {
		if problem := recover(); problem != nil {
			panic(fmt.Sprintf("version %d: %v", version, problem))
		}
	}()
	expectSuccess(roundTrip(request))
}

func roundTrip(request kmsg.Request) kmsg.Response {
	connection, err := net.Dial("tcp", os.Getenv("BOOTSTRAP_SERVERS"))
	must(err)
	defer connection.Close()
	must(connection.SetDeadline(time.Now().Add(20 * time.Second)))
	must(login(connection, os.Getenv("API_KEY"), os.Getenv("API_SECRET")))
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("versions"))
	_, err = connection.Write(formatter.AppendRequest(nil, request, 7))
	must(err)
	frame, err := readFrame(connection)
	must(err)
	response := request.ResponseKind()
	response.SetVersion(request.GetVersion())
	header := 4
	if response.IsFlexible() && response.Key() != int16(kmsg.ApiVersions) {
		header = 5
	}
	must(response.ReadFrom(frame[header:]))
	return response
}

// fill makes the request one that succeeds, or that fails for a reason expectSuccess knows; false if it does not know the API.
func (e example) fill(request kmsg.Request, version int16) bool {
	switch request := request.(type) {
	case *kmsg.ProduceRequest:
		request.Acks, request.TimeoutMillis = -1, 10_000
		partition := kmsg.ProduceRequestTopicPartition{Records: recordBatch()}
		request.Topics = []kmsg.ProduceRequestTopic{{Topic: e.topic, TopicID: e.topicID, Partitions: []kmsg.ProduceRequestTopicPartition{partition}}}
	case *kmsg.FetchRequest:
		request.ReplicaID, request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.SessionEpoch = -1, 100, 1, 1<<20, -1
		partition := kmsg.NewFetchRequestTopicPartition()
		partition.PartitionMaxBytes = 1 << 20
		request.Topics = []kmsg.FetchRequestTopic{{Topic: e.topic, TopicID: e.topicID, Partitions: []kmsg.FetchRequestTopicPartition{partition}}}
	case *kmsg.ListOffsetsRequest:
		request.ReplicaID = -1
		for _, timestamp := range []int64{-1, -2, 1} {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Timestamp = timestamp
			request.Topics = append(request.Topics, kmsg.ListOffsetsRequestTopic{Topic: e.topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{partition}})
		}
		request.Topics = request.Topics[int(version)%3 : int(version)%3+1]
	case *kmsg.MetadataRequest:
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &e.topic
		request.Topics = []kmsg.MetadataRequestTopic{topic}
	case *kmsg.OffsetCommitRequest:
		request.Group, request.Generation = e.group, -1
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Offset = 3
		request.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: e.topic, TopicID: e.topicID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{partition}}}
	case *kmsg.OffsetFetchRequest:
		request.Group = e.group
		request.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: e.topic, Partitions: []int32{0}}}
		group := kmsg.NewOffsetFetchRequestGroup()
		group.Group = e.group
		group.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: e.topic, TopicID: e.topicID, Partitions: []int32{0}}}
		request.Groups = []kmsg.OffsetFetchRequestGroup{group}
	case *kmsg.FindCoordinatorRequest:
		request.CoordinatorKey, request.CoordinatorKeys = e.group, []string{e.group}
	case *kmsg.JoinGroupRequest:
		request.Group, request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = fmt.Sprintf("%s-join-%d", e.group, version), 10_000, 10_000
		request.ProtocolType = "consumer"
		request.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}}}
	case *kmsg.HeartbeatRequest:
		request.Group, request.MemberID, request.Generation = e.group, "nobody", 1
	case *kmsg.LeaveGroupRequest:
		request.Group, request.MemberID = e.group, "nobody"
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = "nobody"
		request.Members = []kmsg.LeaveGroupRequestMember{member}
	case *kmsg.SyncGroupRequest:
		protocolType, protocol := "consumer", "range"
		request.Group, request.MemberID, request.Generation = e.group, "nobody", 1
		request.ProtocolType, request.Protocol = &protocolType, &protocol
	case *kmsg.DescribeGroupsRequest:
		request.Groups = []string{e.group}
	case *kmsg.CreateTopicsRequest:
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("%s-%d", e.topic, version), 1, 1
		request.TimeoutMillis = 10_000
		request.Topics = []kmsg.CreateTopicsRequestTopic{topic}
	case *kmsg.DeleteTopicsRequest:
		// The topics of CreateTopics, which comes first; where there was none, the answer says so.
		name := fmt.Sprintf("%s-%d", e.topic, version)
		request.TimeoutMillis = 10_000
		request.TopicNames = []string{name}
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic = &name
		request.Topics = []kmsg.DeleteTopicsRequestTopic{topic}
	case *kmsg.DeleteRecordsRequest:
		request.TimeoutMillis = 10_000
		partition := kmsg.DeleteRecordsRequestTopicPartition{Partition: 1, Offset: 0}
		request.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: e.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{partition}}}
	case *kmsg.InitProducerIDRequest:
		request.TransactionTimeoutMillis = 60_000
	case *kmsg.OffsetForLeaderEpochRequest:
		request.ReplicaID = -1
		partition := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		request.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: e.topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{partition}}}
	case *kmsg.DescribeConfigsRequest:
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, e.topic
		request.IncludeSynonyms, request.IncludeDocumentation = true, true
		request.Resources = []kmsg.DescribeConfigsRequestResource{resource}
	case *kmsg.AlterConfigsRequest:
		value := "1000000"
		resource := kmsg.NewAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, e.topic
		resource.Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}
		request.Resources = []kmsg.AlterConfigsRequestResource{resource}
	case *kmsg.IncrementalAlterConfigsRequest:
		value := "2000000"
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, e.topic
		resource.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}
		request.Resources = []kmsg.IncrementalAlterConfigsRequestResource{resource}
	case *kmsg.CreatePartitionsRequest:
		request.TimeoutMillis = 10_000
		request.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: e.topic, Count: 3 + int32(version)}}
	case *kmsg.CreateACLsRequest:
		creation := kmsg.NewCreateACLsRequestCreation()
		creation.ResourceType, creation.ResourceName = kmsg.ACLResourceTypeTopic, e.topic
		creation.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
		creation.Principal, creation.Host = "User:*", "10.0.0.1"
		creation.Operation, creation.PermissionType = kmsg.ACLOperationDescribe, kmsg.ACLPermissionTypeAllow
		request.Creations = []kmsg.CreateACLsRequestCreation{creation}
	case *kmsg.DescribeACLsRequest:
		request.ResourceType, request.ResourceName = kmsg.ACLResourceTypeTopic, &e.topic
		request.ResourcePatternType = kmsg.ACLResourcePatternTypeMatch
		request.Operation, request.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	case *kmsg.DeleteACLsRequest:
		filter := kmsg.NewDeleteACLsRequestFilter()
		filter.ResourceType, filter.ResourceName = kmsg.ACLResourceTypeTopic, &e.topic
		filter.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
		filter.Operation, filter.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		request.Filters = []kmsg.DeleteACLsRequestFilter{filter}
	case *kmsg.DeleteGroupsRequest:
		request.Groups = []string{e.group + "-nobody"}
	case *kmsg.OffsetDeleteRequest:
		request.Group = e.group
		request.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: e.topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 1}}}}
	case *kmsg.ApiVersionsRequest, *kmsg.ListGroupsRequest, *kmsg.DescribeClusterRequest:
		// Their defaults ask for everything.
	default:
		return false
	}
	return true
}

// expectSuccess looks at the error code that matters most in the answers whose request must have succeeded.
func expectSuccess(response kmsg.Response) {
	switch response := response.(type) {
	case *kmsg.ProduceResponse:
		equal(0, response.Topics[0].Partitions[0].ErrorCode, "error")
	case *kmsg.FetchResponse:
		equal(0, response.ErrorCode, "error")
		equal(0, response.Topics[0].Partitions[0].ErrorCode, "error of the partition")
		if len(response.Topics[0].Partitions[0].RecordBatches) == 0 {
			panic("no records")
		}
	case *kmsg.ListOffsetsResponse:
		equal(0, response.Topics[0].Partitions[0].ErrorCode, "error")
	case *kmsg.MetadataResponse:
		equal(0, response.Topics[0].ErrorCode, "error")
	case *kmsg.OffsetCommitResponse:
		equal(0, response.Topics[0].Partitions[0].ErrorCode, "error")
	case *kmsg.OffsetFetchResponse:
		if response.GetVersion() >= 8 {
			equal(0, response.Groups[0].ErrorCode, "error")
			equal(3, response.Groups[0].Topics[0].Partitions[0].Offset, "offset")
		} else {
			equal(3, response.Topics[0].Partitions[0].Offset, "offset")
		}
	case *kmsg.CreateTopicsResponse:
		equal(0, response.Topics[0].ErrorCode, "error")
	case *kmsg.DeleteRecordsResponse:
		equal(0, response.Topics[0].Partitions[0].ErrorCode, "error")
	case *kmsg.InitProducerIDResponse:
		equal(0, response.ErrorCode, "error")
	case *kmsg.OffsetForLeaderEpochResponse:
		equal(0, response.Topics[0].Partitions[0].ErrorCode, "error")
	case *kmsg.DescribeConfigsResponse:
		equal(0, response.Resources[0].ErrorCode, "error")
	case *kmsg.AlterConfigsResponse:
		equal(0, response.Resources[0].ErrorCode, "error")
	case *kmsg.IncrementalAlterConfigsResponse:
		equal(0, response.Resources[0].ErrorCode, "error")
	case *kmsg.CreatePartitionsResponse:
		equal(0, response.Topics[0].ErrorCode, "error")
	case *kmsg.CreateACLsResponse:
		equal(0, response.Results[0].ErrorCode, "error")
	case *kmsg.DescribeACLsResponse:
		equal(0, response.ErrorCode, "error")
	case *kmsg.DeleteACLsResponse:
		equal(0, response.Results[0].ErrorCode, "error")
	case *kmsg.OffsetDeleteResponse:
		equal(0, response.ErrorCode, "error")
	case *kmsg.HeartbeatResponse:
		equal(25, response.ErrorCode, "error of an unknown member")
	case *kmsg.SyncGroupResponse:
		equal(25, response.ErrorCode, "error of an unknown member")
	}
}

// recordBatch is one record of its own batch.
func recordBatch() []byte {
	now := time.Now().UnixMilli()
	record := kmsg.Record{Length: 7, Value: []byte("v")}
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1}
	batch.Records = record.AppendTo(nil)
	bytes := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(bytes[8:], uint32(len(bytes)-12))
	binary.BigEndian.PutUint32(bytes[17:], crc32.Checksum(bytes[21:], crc32.MakeTable(crc32.Castagnoli)))
	return bytes
}
