//! Agents.

use millstream_api::fleet::observed_physical_cluster::Phase;

use crate::fixture::{Engine, FakeAgent, Installation};

on_both_engines! {
    async fn an_agent_finds_its_physical_cluster_again(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        let first = FakeAgent::connect(address, "agent-1", &[]).await;
        let second = FakeAgent::connect(address, "agent-1", &[]).await;
        assert_eq!(first.desired(), second.desired());
        assert_eq!((first.desired().brokers, first.desired().deleted), (1, false));
        assert!(first.desired().broker_token.len() >= 43);
        installation.restart().await;
        let address = installation.control_plane().fleet_address();
        let third = FakeAgent::connect(address, "agent-1", &[]).await;
        assert_eq!(first.desired(), third.desired());
        let other = FakeAgent::connect(address, "agent-2", &[]).await;
        assert_ne!(first.desired().physical_cluster_id, other.desired().physical_cluster_id);
        assert_ne!(first.desired().broker_token, other.desired().broker_token);
    }

    async fn a_wrong_agent_token_or_hello_is_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        for token in ["", "nonsense", "agent-token-of-this-tes"] {
            let refused = FakeAgent::open(address, token, "agent-1", &[]).await.map(|_| ());
            assert_eq!(refused.expect_err("refused").code(), tonic::Code::Unauthenticated);
        }
        let token = crate::fixture::installation::AGENT_TOKEN;
        let long = "x".repeat(129);
        let cases: [(&str, &[(&str, &str)]); 5] = [
            ("", &[]), ("a b", &[]), (&long, &[]), ("agent-1", &[("MOON", "x")]), ("agent-1", &[("AWS", "")]),
        ];
        for (agent_id, regions) in cases {
            let (_reports, mut instructions) =
                FakeAgent::open(address, token, agent_id, regions).await.expect("the stream opens");
            let status = instructions.message().await.expect_err("it is refused");
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{agent_id:?} {regions:?}");
        }
    }

    async fn an_agent_cannot_report_on_what_is_not_its_own(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (agent, _broker) = installation.fleet().await;
        let address = installation.control_plane().fleet_address();
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.wait_provisioned(&environment, &cluster).await;
        let mut intruder = FakeAgent::connect(address, "agent-2", &[]).await;
        let pkc = agent.desired().physical_cluster_id.clone();
        intruder.report(&pkc, 99, Phase::Ready, "evil.test:9092").await;
        // Reports are taken in order: once its own one has ended the stream, the first was taken in.
        intruder.report(&pkc, 99, Phase::Ready, "not an endpoint").await;
        assert_eq!(intruder.wait_for_end().await.code(), tonic::Code::InvalidArgument);
        let read = rest.get_cluster(&environment, &cluster).await.expect(200);
        assert_eq!(read.text_at("/spec/kafka_bootstrap_endpoint"), "kafka.test:9092");
    }

    async fn a_report_that_makes_no_sense_ends_the_stream(engine: Engine) {
        let installation = Installation::start(engine).await;
        let address = installation.control_plane().fleet_address();
        for (physical_cluster, endpoint) in [
            ("nonsense", "kafka.test:9092"), ("", ""), ("pkc-a", "kafka.test"), ("pkc-a", ":9092"),
            ("pkc-a", "kafka.test:99999"), ("pkc-a", "kafka test:9092"), ("pkc-a", "a\0b:9092"),
        ] {
            let mut agent = FakeAgent::connect(address, "agent-1", &[]).await;
            agent.report(physical_cluster, 1, Phase::Ready, endpoint).await;
            assert_eq!(agent.wait_for_end().await.code(), tonic::Code::InvalidArgument, "{physical_cluster} {endpoint}");
        }
    }
}
