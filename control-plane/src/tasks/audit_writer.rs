//! Writes the audit log in batches, and with it what became of the answers to POSTs.
//!
//! Promises: an event that was taken in is written, or a log line says that it was not; whoever waits for an event is
//! told when it is durable, within a bounded time. While the database is away events wait in a bounded queue.
//! Never holds up a request for longer than its bounds, and never changes its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::app::App;
use crate::domain::repetition::AnswerState;
use crate::store::audit_events::{self, AuditEvent, MAX_ROWS_PER_INSERT};
use crate::store::error::StoreError;
use crate::store::recent_posts::{self, MAX_SETTLED};

/// Events that wait to be written at most.
const QUEUE: usize = 10_000;
/// Events of one transaction at most.
const MAX_BATCH: usize = 512;
/// How long events that nobody waits for are gathered.
const GATHER_TIME: Duration = Duration::from_millis(200);
/// How long a request waits for room in the queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a request waits until its event is durable.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to write a batch, and the pause between them.
const MAX_ATTEMPTS: u32 = 30;
/// See above.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The way into the log.
pub struct AuditLog {
    queue: mpsc::Sender<Entry>,
}

enum Entry {
    /// A call.
    Event { event: Box<AuditEvent>, durable: Option<oneshot::Sender<()>> },
    /// What became of the answer to a POST.
    Settled { post: String, state: AnswerState },
}

impl Entry {
    fn event(&self) -> Option<&AuditEvent> {
        match self {
            Self::Event { event, .. } => Some(event),
            Self::Settled { .. } => None,
        }
    }

    fn settled_as(&self, wanted: AnswerState) -> Option<String> {
        match self {
            Self::Settled { post, state } if *state == wanted => Some(post.clone()),
            _ => None,
        }
    }

    fn somebody_waits(&self) -> bool {
        matches!(self, Self::Event { durable: Some(_), .. })
    }
}

/// The other end of the queue.
pub struct Writer {
    queue: mpsc::Receiver<Entry>,
    /// Told by the last request that there will be no more.
    stop: CancellationToken,
}

impl AuditLog {
    /// A log and its writer, which ends after `stop` when the queue is empty.
    pub fn new(stop: CancellationToken) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { queue: sender }, Writer { queue: receiver, stop })
    }

    /// Takes in an event.
    pub async fn record(&self, event: AuditEvent) {
        self.take_in(Entry::Event { event: Box::new(event), durable: None }).await;
    }

    /// Takes in an event and waits until it is durable, or for a bounded time.
    pub async fn record_durably(&self, event: AuditEvent) {
        let (sender, receiver) = oneshot::channel();
        let id = event.id.clone();
        self.take_in(Entry::Event { event: Box::new(event), durable: Some(sender) }).await;
        let durable = timeout(DURABLE_TIMEOUT, receiver).await.is_ok_and(|told| told.is_ok());
        if !durable {
            warn!(request_id = id, "the answer to request {id} leaves before its audit event is durable");
        }
    }

    /// Takes in what became of the answer to a POST.
    pub async fn settle(&self, post: String, state: AnswerState) {
        self.take_in(Entry::Settled { post, state }).await;
    }

    async fn take_in(&self, entry: Entry) {
        let Err(refused) = self.queue.send_timeout(entry, ROOM_TIMEOUT).await else { return };
        match refused.into_inner() {
            Entry::Event { event, .. } => {
                let id = event.id;
                error!(request_id = id, "the audit event of request {id} is lost: {QUEUE} events wait to be written");
            }
            // It is taken for open until its minute is over.
            Entry::Settled { post, .. } => debug!(request_id = post, "nobody notes what became of the answer"),
        }
    }
}

/// Writes until told to stop, and then what is left.
pub async fn write(app: Arc<App>, mut writer: Writer) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        let stopped = tokio::select! {
            biased;
            received = writer.queue.recv_many(&mut batch, MAX_BATCH) => received == 0,
            _ = writer.stop.cancelled() => true,
        };
        if stopped {
            return;
        }
        if !writer.stop.is_cancelled() {
            gather(&mut writer, &mut batch).await;
        }
        write_batch(&app, &batch).await;
        for entry in batch.drain(..) {
            if let Entry::Event { durable: Some(durable), .. } = entry {
                // The request may have stopped waiting.
                let _ = durable.send(());
            }
        }
    }
}

/// Waits a little for more, unless somebody waits already.
async fn gather(writer: &mut Writer, batch: &mut Vec<Entry>) {
    let deadline = Instant::now() + GATHER_TIME;
    while batch.len() < MAX_BATCH && !batch.iter().any(Entry::somebody_waits) {
        let room = MAX_BATCH - batch.len();
        let stop = writer.stop.clone();
        let more = tokio::select! {
            more = timeout_at(deadline, writer.queue.recv_many(batch, room)) => more.is_ok_and(|received| received > 0),
            _ = stop.cancelled() => false,
        };
        if !more {
            return;
        }
    }
}

async fn write_batch(app: &App, batch: &[Entry]) {
    for attempt in 1..=MAX_ATTEMPTS {
        match try_write(app, batch).await {
            Ok(()) => return,
            Err(error) if attempt == 1 => {
                warn!(error = &error as &dyn std::error::Error, "cannot write the audit log; trying again");
            }
            Err(_) => {}
        }
        sleep(RETRY_DELAY).await;
    }
    let lost = batch.len();
    error!(lost, "{lost} audit events are lost: the database refused them {MAX_ATTEMPTS} times");
}

async fn try_write(app: &App, batch: &[Entry]) -> Result<(), StoreError> {
    let mut transaction = app.database.write().await?;
    let events: Vec<&AuditEvent> = batch.iter().filter_map(Entry::event).collect();
    for events in events.chunks(MAX_ROWS_PER_INSERT) {
        audit_events::insert(&mut transaction, events).await?;
    }
    for state in [AnswerState::Delivered, AnswerState::Lost] {
        let posts: Vec<String> = batch.iter().filter_map(|entry| entry.settled_as(state)).collect();
        for posts in posts.chunks(MAX_SETTLED) {
            recent_posts::settle(&mut transaction, posts, state).await?;
        }
    }
    transaction.commit().await
}
