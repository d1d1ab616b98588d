//! Thousands of seeded histories of one group: clients that follow the protocol, die, come back, lose answers, and a
//! coordinator that restarts. After each one everybody behaves, and the group must settle.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::event::{Effects, Event, Heartbeat, Join, Leaver, Protocol, Reply, Sync, Token};
use super::group::{Group, State};
use super::member::Member;
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;

const SEEDS: u64 = 3_000;
const TROUBLED_MS: u64 = 120_000;
const MAX_SESSION_MS: i32 = 12_000;
const MAX_REBALANCE_MS: i32 = 30_000;
const INITIAL_DELAY_MS: i32 = 3_000;
const TICK_MS: u64 = 250;
/// After this long without trouble nothing of the trouble may be left.
const QUIET_MS: u64 = (NEW_MEMBER_JOIN_MS + 4 * (MAX_REBALANCE_MS + MAX_SESSION_MS)) as u64;
const NEW_MEMBER_JOIN_MS: i32 = 60_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Off,
    Idle,
    Joining(Token),
    Joined,
    Syncing(Token),
    Member,
}

#[derive(Debug)]
struct Client {
    instance: Option<String>,
    two_step: bool,
    session_ms: i32,
    rebalance_ms: i32,
    offers_both: bool,
    phase: Phase,
    member_id: String,
    generation_id: i32,
    leads: Option<Vec<String>>,
    next_heartbeat_ms: u64,
}

struct World {
    seed: u64,
    random: Random,
    config: GroupConfig,
    group: Group,
    stored: Option<super::group::StoredGroup>,
    now_ms: u64,
    next: u64,
    clients: Vec<Client>,
    /// Waiting request to its client and the instant it was sent.
    waiting: BTreeMap<Token, (usize, u64)>,
    highest_generation: i32,
    /// Generation to the client that led it.
    leaders: BTreeMap<i32, BTreeSet<String>>,
    /// Generation and member id to the bytes the leader named.
    assigned: BTreeMap<(i32, String), String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        let config = GroupConfig {
            initial_rebalance_delay_ms: if random.one_in(3) { 0 } else { INITIAL_DELAY_MS },
            new_member_join_timeout_ms: NEW_MEMBER_JOIN_MS,
            max_group_size: 4 + random.below(4) as usize,
            ..GroupConfig::default()
        };
        let clients = (0..2 + random.below(5)).map(|number| Client {
            instance: random.one_in(3).then(|| format!("instance-{number}")),
            two_step: !random.one_in(3),
            session_ms: 6_000 + random.below(MAX_SESSION_MS as u64 - 6_000) as i32,
            rebalance_ms: 3_000 + random.below(MAX_REBALANCE_MS as u64 - 3_000) as i32,
            offers_both: random.one_in(2),
            phase: Phase::Off,
            member_id: String::new(),
            generation_id: -1,
            leads: None,
            next_heartbeat_ms: 0,
        });
        let clients = clients.collect();
        let group = Group::new(Moment { wall_ms: 0, monotonic_ms: 0 });
        Self {
            seed,
            random,
            config,
            group,
            stored: None,
            now_ms: 0,
            next: 0,
            clients,
            waiting: BTreeMap::new(),
            highest_generation: 0,
            leaders: BTreeMap::new(),
            assigned: BTreeMap::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment { wall_ms: self.now_ms as i64, monotonic_ms: self.now_ms }
    }

    fn step(&mut self, client: usize, event: Event) -> Token {
        self.next += 1;
        let token = Token(self.next);
        self.waiting.insert(token, (client, self.now_ms));
        let effects = self.group.step(token, event, self.now(), &self.config);
        self.take(effects);
        token
    }

    fn take(&mut self, effects: Effects) {
        let seed = self.seed;
        assert!(self.group.generation_id() >= self.highest_generation, "seed {seed}: the generation fell");
        if effects.persist {
            self.stored = Some(self.group.to_stored());
        }
        self.highest_generation = self.group.generation_id();
        if let Some(wake_at_ms) = effects.wake_at_ms {
            let next = self.group.next_deadline_ms();
            assert!(next.is_none_or(|next| wake_at_ms <= next) || next.is_some(), "seed {seed}: no wake-up");
        }
        self.check_counts();
        for (token, reply) in effects.replies {
            let Some((client, _)) = self.waiting.remove(&token) else {
                panic!("seed {seed}: {token:?} was answered and did not wait: {reply:?}");
            };
            self.answer(client, token, reply);
        }
    }

    fn check_counts(&self) {
        let group = &self.group;
        let seed = self.seed;
        let awaiting = group.members.values().filter(|member| member.is_awaiting_join()).count();
        assert_eq!(group.awaiting_join, awaiting, "seed {seed}: waiting joins");
        let bytes: usize = group.members.values().map(Member::size_bytes).sum();
        assert_eq!(group.member_bytes(), bytes, "seed {seed}: bytes");
        // While a group prepares, those who have not come back yet are not counted against newcomers.
        assert!(group.members.len() <= 2 * self.config.max_group_size, "seed {seed}: too many members");
        for (instance, member_id) in &group.static_members {
            let member = group.members.get(member_id).expect("a static member is a member");
            assert_eq!(member.group_instance_id.as_ref(), Some(instance), "seed {seed}");
        }
        assert_eq!(group.members.is_empty(), group.leader.is_none(), "seed {seed}: a group with members has a leader");
        if let Some(leader) = &group.leader {
            assert!(group.members.contains_key(leader), "seed {seed}: the leader is a member");
        }
        match group.state {
            State::Empty => assert!(group.members.is_empty(), "seed {seed}"),
            State::PreparingRebalance => assert!(group.join_timer.is_some(), "seed {seed}: join without end"),
            State::CompletingRebalance => assert!(group.sync_deadline_ms.is_some(), "seed {seed}: sync without end"),
            State::Stable => {
                let waits = group.members.values().any(|member| member.awaiting_sync.is_some());
                assert!(!waits, "seed {seed}: a sync waits in a stable group");
            }
            State::Dead => {}
        }
    }

    fn answer(&mut self, number: usize, token: Token, reply: Reply) {
        let now_ms = self.now_ms;
        let client = &mut self.clients[number];
        let expects = match client.phase {
            Phase::Joining(expected) | Phase::Syncing(expected) => expected == token,
            _ => false,
        };
        match reply {
            Reply::Join(Ok(joined)) => {
                if joined.leader == joined.member_id && !joined.members.is_empty() {
                    let leader = client.instance.clone().unwrap_or_else(|| joined.member_id.clone());
                    let leaders = self.leaders.entry(joined.generation_id).or_default();
                    leaders.insert(leader);
                    assert_eq!(leaders.len(), 1, "seed {}: two leaders of one generation", self.seed);
                }
                if !expects {
                    return;
                }
                client.member_id = joined.member_id;
                client.generation_id = joined.generation_id;
                let assigns = !joined.members.is_empty() && !joined.skip_assignment;
                client.leads = assigns.then(|| joined.members.into_iter().map(|member| member.member_id).collect());
                client.phase = Phase::Joined;
                client.next_heartbeat_ms = now_ms + 2_000;
            }
            Reply::Join(Err(refused)) if expects => {
                client.phase = Phase::Idle;
                match refused.error {
                    GroupError::MemberIdRequired => client.member_id = refused.member_id,
                    GroupError::FencedInstanceId => client.phase = Phase::Off,
                    GroupError::UnknownMemberId | GroupError::GroupMaxSizeReached => client.member_id.clear(),
                    GroupError::InconsistentGroupProtocol | GroupError::RebalanceInProgress => {}
                    other => panic!("seed {}: unexpected {other}", self.seed),
                }
            }
            Reply::Sync(Ok(synced)) => {
                if !expects {
                    return;
                }
                let key = (client.generation_id, client.member_id.clone());
                let bytes = String::from_utf8(synced.assignment.to_vec()).expect("the simulation's text");
                if client.instance.is_none() {
                    let named = self.assigned.get(&key).cloned().unwrap_or_default();
                    assert_eq!(bytes, named, "seed {}: another assignment than the leader's", self.seed);
                } else if !bytes.is_empty() {
                    // A static member may hold its predecessor's assignment, never a stranger's.
                    let instance = client.instance.clone().unwrap_or_default();
                    let expected = format!("{} {instance}", client.generation_id);
                    assert!(bytes.starts_with(&expected), "seed {}: {bytes} for {expected}", self.seed);
                }
                client.phase = Phase::Member;
            }
            Reply::Sync(Err(error)) | Reply::Heartbeat(Err(error)) => {
                let is_heartbeat = matches!(client.phase, Phase::Joined | Phase::Member);
                if !expects && !is_heartbeat {
                    return;
                }
                client.phase = Phase::Idle;
                match error {
                    GroupError::UnknownMemberId => client.member_id.clear(),
                    GroupError::FencedInstanceId => client.phase = Phase::Off,
                    _ => {}
                }
            }
            Reply::Join(Err(_)) | Reply::Heartbeat(Ok(())) | Reply::Leave(_) => {}
        }
    }

    fn join(&mut self, number: usize) {
        let unique = self.next + 1;
        let client = &mut self.clients[number];
        let names: &[&str] = if client.offers_both { &["sticky", "range"] } else { &["range"] };
        let prefix = client.instance.clone().unwrap_or_else(|| "client".into());
        let join = Join {
            client_id: format!("client-{number}"),
            client_host: "/127.0.0.1".into(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            new_member_id: format!("{prefix}-{unique}"),
            protocol_type: "consumer".into(),
            protocols: names
                .iter()
                .map(|name| Protocol { name: (*name).into(), metadata: Bytes::from(format!("{number}")) })
                .collect(),
            session_timeout_ms: client.session_ms,
            rebalance_timeout_ms: client.rebalance_ms,
            knows_two_step_join: client.two_step,
            knows_skip_assignment: client.two_step,
        };
        client.phase = Phase::Joining(Token(unique));
        self.step(number, Event::Join(join));
    }

    fn sync(&mut self, number: usize) {
        let unique = self.next + 1;
        let client = &mut self.clients[number];
        let generation_id = client.generation_id;
        let mut assignments = Vec::new();
        for member_id in client.leads.iter().flatten() {
            let owner = member_id.rsplit_once('-').map_or("", |(owner, _)| owner);
            let bytes = format!("{generation_id} {owner} {member_id}");
            self.assigned.insert((generation_id, member_id.clone()), bytes.clone());
            assignments.push((member_id.clone(), Bytes::from(bytes)));
        }
        let sync = Sync {
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id,
            protocol_type: Some("consumer".into()),
            protocol_name: None,
            assignments,
        };
        client.phase = Phase::Syncing(Token(unique));
        self.step(number, Event::Sync(sync));
    }

    fn heartbeat(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.next_heartbeat_ms = self.now_ms + 2_000;
        let heartbeat = Heartbeat {
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.generation_id,
        };
        self.step(number, Event::Heartbeat(heartbeat));
    }

    /// What a well-behaved client does next.
    fn behave(&mut self, number: usize) {
        let client = &self.clients[number];
        match client.phase {
            Phase::Idle => self.join(number),
            Phase::Joined if self.now_ms.is_multiple_of(500) => self.sync(number),
            Phase::Joined | Phase::Member if client.next_heartbeat_ms <= self.now_ms => self.heartbeat(number),
            Phase::Off | Phase::Joining(_) | Phase::Joined | Phase::Syncing(_) | Phase::Member => {}
        }
    }

    fn trouble(&mut self, number: usize) {
        match self.random.below(8) {
            0 | 1 => self.clients[number].phase = Phase::Off,
            2 => self.lose_connection(number),
            3 => {
                // The process starts again: only a static member's name survives.
                self.clients[number].member_id.clear();
                self.clients[number].phase = Phase::Idle;
            }
            4 => self.leave(number),
            5 if matches!(self.clients[number].phase, Phase::Joining(_)) => self.join(number),
            6 => self.clients[number].offers_both ^= true,
            7 if self.random.one_in(4) => self.restart_coordinator(),
            _ if self.clients[number].phase == Phase::Off => self.clients[number].phase = Phase::Idle,
            _ => {}
        }
    }

    fn lose_connection(&mut self, number: usize) {
        let (Phase::Joining(token) | Phase::Syncing(token)) = self.clients[number].phase else { return };
        self.waiting.remove(&token);
        let effects = self.group.step(token, Event::Abandon, self.now(), &self.config);
        self.take(effects);
        self.clients[number].phase = if self.random.one_in(2) { Phase::Idle } else { Phase::Off };
    }

    fn leave(&mut self, number: usize) {
        let leaver = Leaver {
            member_id: self.clients[number].member_id.clone(),
            group_instance_id: self.clients[number].instance.clone(),
        };
        self.clients[number].phase = Phase::Off;
        self.step(number, Event::Leave(vec![leaver]));
    }

    fn restart_coordinator(&mut self) {
        let now = self.now();
        self.group = match self.stored.clone() {
            Some(stored) => Group::restore(stored, now),
            None => Group::new(now),
        };
        assert!(self.group.generation_id() >= self.highest_generation, "seed {}: a generation was lost", self.seed);
        self.waiting.clear();
        for client in &mut self.clients {
            match client.phase {
                Phase::Joining(_) => client.phase = Phase::Idle,
                Phase::Syncing(_) => client.phase = Phase::Joined,
                Phase::Off | Phase::Idle | Phase::Joined | Phase::Member => {}
            }
        }
        self.check_counts();
    }

    fn tick(&mut self) {
        let end = self.now_ms + TICK_MS;
        while let Some(deadline) = self.group.next_deadline_ms().filter(|deadline| *deadline <= end) {
            self.now_ms = self.now_ms.max(deadline);
            let effects = self.group.on_time(self.now(), &self.config);
            let still_due = effects.wake_at_ms.is_some_and(|wake| wake < self.now_ms);
            assert!(!still_due, "seed {}: a deadline was left behind", self.seed);
            self.take(effects);
        }
        self.now_ms = end;
        let longest_wait_ms = (MAX_REBALANCE_MS + INITIAL_DELAY_MS + NEW_MEMBER_JOIN_MS) as u64;
        for (token, (client, since_ms)) in &self.waiting {
            let waited_ms = self.now_ms - since_ms;
            assert!(waited_ms <= longest_wait_ms, "seed {}: {client} waits for {token:?}", self.seed);
        }
    }

    fn run(&mut self) {
        while self.now_ms < TROUBLED_MS {
            self.tick();
            let number = self.random.below(self.clients.len() as u64) as usize;
            if self.random.one_in(6) {
                self.trouble(number);
            }
            for number in 0..self.clients.len() {
                if !self.random.one_in(10) {
                    self.behave(number);
                }
            }
        }
        let quiet_until_ms = self.now_ms + QUIET_MS;
        while self.now_ms < quiet_until_ms {
            self.tick();
            for number in 0..self.clients.len() {
                self.behave(number);
            }
        }
        self.check_settled();
    }

    fn check_settled(&self) {
        let living: Vec<&Client> = self.clients.iter().filter(|client| client.phase != Phase::Off).collect();
        let seed = self.seed;
        if living.is_empty() {
            assert_eq!(self.group.state(), State::Empty, "seed {seed}");
            return;
        }
        assert_eq!(self.group.state(), State::Stable, "seed {seed}: {:#?}", self.clients);
        let is_full = self.group.members.len() >= self.config.max_group_size;
        for client in living {
            if client.phase != Phase::Member {
                assert!(is_full, "seed {seed}: {client:?} is not in a group that has room");
                continue;
            }
            assert_eq!(client.generation_id, self.group.generation_id(), "seed {seed}");
            assert!(self.group.members.contains_key(&client.member_id), "seed {seed}");
        }
        let members = self.clients.iter().filter(|client| client.phase == Phase::Member).count();
        assert_eq!(self.group.members.len(), members, "seed {seed}: a dead member is left");
    }
}

#[test]
fn every_history_keeps_the_promises_and_settles() {
    for seed in 1..=SEEDS {
        World::new(seed).run();
    }
}
