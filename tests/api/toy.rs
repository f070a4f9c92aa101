//! An application that waits, fails and panics on request, behind the real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{
    Context, Error, ErrorExtensions as _, InputObject, InputValueError, InputValueResult, Object, Request, Scalar,
    ScalarType, Schema, Subscription, ValidationMode, Value,
};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use roster::http::{
    Application, Caller, DocumentPolicy, Event, Events, ExecutionResult, HttpError, HttpMetrics, Origin,
    ServerSettings, SubscriptionTimeouts, TrustedDocument, serve,
};
use roster::scalar::Id;
use roster::share::Requester;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::wire::{RawClient, TIMEOUT};

/// The origin whose pages may use the API.
pub const ORIGIN: &str = "https://app.example.org";

/// The number of held fields and of subscriptions by outcome.
#[derive(Default)]
pub struct Counts {
    pub started: AtomicUsize,
    pub done: AtomicUsize,
    pub dropped: AtomicUsize,
    /// The number of documents that were analyzed by a thread for work that takes long.
    pub analyzed_in_background: AtomicUsize,
    /// Whether all tokens have become invalid.
    pub is_revoked: AtomicBool,
    /// Whether held fields end.
    pub is_released: watch::Sender<bool>,
}

/// A running server with the toy application.
pub struct ToyServer {
    pub client: RawClient,
    pub counts: Arc<Counts>,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<std::io::Result<()>>,
}

impl ToyServer {
    pub async fn start() -> Self {
        Self::start_with(settings(), true).await
    }

    pub async fn start_with(settings: ServerSettings, ready: bool) -> Self {
        let counts = Arc::new(Counts::default());
        let schema = Schema::build(Query, Mutation, Ticks).validation_mode(ValidationMode::Fast).finish();
        let app = Toy { schema, counts: Arc::clone(&counts), ready };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = RawClient(listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(app, listener, settings, stopped));
        Self { client, counts, stop: Some(stop), task }
    }
}

pub fn settings() -> ServerSettings {
    ServerSettings {
        max_connections: 100,
        max_connections_per_address: 100,
        trusted_proxies: Vec::new(),
        allowed_origins: vec![Origin::parse(ORIGIN).unwrap()],
        request_deadline: TIMEOUT,
        shutdown_grace: TIMEOUT,
        subscriptions: SubscriptionTimeouts::default(),
        playground: false,
        documents: DocumentPolicy::Any,
        tls: None,
        requires_https: false,
        metrics: HttpMetrics::default(),
        traces: roster::trace::Recorder::default(),
    }
}

#[derive(Clone)]
struct Toy {
    schema: Schema<Query, Mutation, Ticks>,
    counts: Arc<Counts>,
    ready: bool,
}

impl Application for Toy {
    type DocumentInfo = ();

    fn analyze(&self, _: &ExecutableDocument) {
        if std::thread::current().name() == Some("background") {
            self.counts.analyzed_in_background.fetch_add(1, SeqCst);
        }
    }

    async fn execute(&self, caller: Caller, query: Request, (): &()) -> Result<ExecutionResult, HttpError> {
        self.requester(&caller).await?;
        Ok(self.schema.execute(query.data(caller).data(Arc::clone(&self.counts))).await.into())
    }

    /// The position after each event is its number, counted from the one after which the client resumes.
    async fn subscribe(
        &self,
        caller: Caller,
        query: Request,
        (): &(),
        last_event_id: Option<String>,
    ) -> Result<Events, HttpError> {
        self.requester(&caller).await?;
        let begin: usize = last_event_id.map_or(0, |id| id.parse().unwrap());
        let results = self.schema.execute_stream(query.data(Arc::clone(&self.counts))).enumerate();
        let events = results.map(move |(n, response)| {
            let position = Some((begin + n + 1).to_string());
            Event::Next { response, position, send_permit: None }
        });
        Ok(stream::iter([Event::Begin { position: begin.to_string() }]).chain(events).boxed())
    }

    /// The user of a token has the length of the token as ID.
    async fn requester(&self, caller: &Caller) -> Result<Requester, HttpError> {
        match caller.token.as_deref() {
            Some("bad") => Err(HttpError::unauthenticated()),
            Some("busy") => Err(HttpError::overloaded(1)),
            Some(_) if self.counts.is_revoked.load(SeqCst) => Err(HttpError::unauthenticated()),
            Some(token) => Ok(Requester::User(Id(uuid::Uuid::from_u128(token.len() as u128)))),
            None => Ok(Requester::Network(caller.address.into())),
        }
    }

    /// The only trusted document is `held`.
    async fn trusted_document(&self, key: &str) -> Result<Option<Arc<TrustedDocument>>, HttpError> {
        let text = "query Held { held }".to_owned();
        let document = TrustedDocument { id: "held".to_owned(), name: None, text, sets: Vec::new() };
        Ok((key == document.id).then(|| Arc::new(document)))
    }

    fn sdl(&self) -> String {
        self.schema.sdl()
    }

    async fn is_ready(&self) -> bool {
        self.ready
    }
}

struct OnDrop(Arc<Counts>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

struct Even(i32);

#[Scalar]
impl ScalarType for Even {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) if number.as_i64().is_some_and(|number| number % 2 == 0) => Ok(Even(0)),
            Value::Number(_) => Err(InputValueError::custom("not even")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

#[derive(InputObject)]
struct Filter {
    and: Option<Vec<Filter>>,
    a: Option<String>,
}

/// Waits until the test releases it.
async fn held(ctx: &Context<'_>) -> i32 {
    let counts = Arc::clone(ctx.data_unchecked::<Arc<Counts>>());
    let mut released = counts.is_released.subscribe();
    counts.started.fetch_add(1, SeqCst);
    let _on_drop = OnDrop(Arc::clone(&counts));
    let _ = released.wait_for(|is_released| *is_released).await;
    counts.done.fetch_add(1, SeqCst);
    1
}

/// A separate function, because the code that the macro generates after a panic would be unreachable.
fn disco() -> i32 {
    panic!("at the disco")
}

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn who(&self, ctx: &Context<'_>) -> String {
        ctx.data_unchecked::<Caller>().token.clone().unwrap_or_else(|| "nobody".into())
    }

    async fn address(&self, ctx: &Context<'_>) -> String {
        ctx.data_unchecked::<Caller>().address.to_string()
    }

    async fn id_of_request(&self, ctx: &Context<'_>) -> String {
        ctx.data_unchecked::<Caller>().request_id.clone()
    }

    async fn even(&self, n: Even) -> i32 {
        n.0
    }

    async fn echo(&self, text: String, #[graphql(default)] n: i32) -> String {
        format!("{text}{n}")
    }

    /// The depth of nested filters.
    async fn filter(&self, by: Filter) -> usize {
        let mut depth = 0;
        let mut inner = &by;
        while let Some(next) = inner.and.as_ref().and_then(|and| and.first()) {
            depth += 1;
            inner = next;
        }
        depth + usize::from(inner.a.is_none())
    }

    async fn foreign(&self) -> Result<Option<i32>, Error> {
        let number: i32 = "secret sql".parse()?;
        Ok(Some(number))
    }

    async fn foreign_non_null(&self) -> Result<i32, Error> {
        Err(Error::new("secret text"))
    }

    async fn ours(&self) -> Option<Result<i32, Error>> {
        Some(Err(Error::new("not yours").extend_with(|_, values| values.set("code", "FORBIDDEN"))))
    }

    async fn panics(&self) -> i32 {
        disco()
    }

    async fn held(&self, ctx: &Context<'_>) -> i32 {
        held(ctx).await
    }

    async fn big(&self, n: usize) -> String {
        "x".repeat(n)
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn add(&self) -> i32 {
        1
    }

    async fn held(&self, ctx: &Context<'_>) -> i32 {
        held(ctx).await
    }

    async fn panics(&self) -> i32 {
        disco()
    }
}

struct Ticks;

/// Counts a subscription when it starts and when it is dropped.
fn counted<T: 'static>(ctx: &Context<'_>, items: impl Stream<Item = T> + Send + 'static) -> BoxStream<'static, T> {
    let counts = Arc::clone(ctx.data_unchecked::<Arc<Counts>>());
    counts.started.fetch_add(1, SeqCst);
    let on_drop = OnDrop(counts);
    let inspect = move |_: &T| {
        std::hint::black_box(&on_drop);
    };
    items.inspect(inspect).boxed()
}

#[Subscription]
impl Ticks {
    /// The numbers up to `count`.
    async fn ticks(&self, #[graphql(default = 3)] count: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=count)
    }

    /// No event, and no end.
    async fn silence(&self, ctx: &Context<'_>) -> BoxStream<'static, i32> {
        counted(ctx, stream::pending())
    }

    /// Texts of `n` characters without end.
    async fn flood(&self, ctx: &Context<'_>, n: usize) -> BoxStream<'static, String> {
        counted(ctx, stream::repeat_with(move || "x".repeat(n)))
    }

    /// An error for each event.
    async fn foreign(&self) -> impl Stream<Item = Result<i32, Error>> {
        stream::iter([Err(Error::new("secret text"))])
    }

    /// A panic in place of the second event.
    async fn panics(&self) -> impl Stream<Item = i32> {
        stream::iter(0..2).map(|n| if n == 1 { disco() } else { n })
    }
}
