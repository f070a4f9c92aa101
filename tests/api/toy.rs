//! An application that is slow, fails and panics on request, behind the real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{
    Context, Error, ErrorExtensions as _, InputObject, InputValueError, InputValueResult, Object, Request, Scalar,
    ScalarType, Schema, Subscription, Value,
};
use roster::http::{Application, Caller, ExecutionResult, HttpError, ServerSettings, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wire::RawClient;

/// The number of slow fields by outcome.
#[derive(Default)]
pub struct Counts {
    pub started: AtomicUsize,
    pub done: AtomicUsize,
    pub dropped: AtomicUsize,
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
        let app = Toy { schema: Schema::new(Query, Mutation, Ticks), counts: Arc::clone(&counts), ready };
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
        request_deadline: Duration::from_secs(5),
        shutdown_grace: Duration::from_secs(5),
        playground: false,
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

    fn analyze(&self, _: &ExecutableDocument) {}

    async fn execute(&self, caller: Caller, query: Request, (): &()) -> Result<ExecutionResult, HttpError> {
        match caller.token.as_deref() {
            Some("bad") => return Err(HttpError::unauthenticated()),
            Some("busy") => return Err(HttpError::overloaded(1)),
            _ => {}
        }
        Ok(self.schema.execute(query.data(caller).data(Arc::clone(&self.counts))).await.into())
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

async fn slow(ctx: &Context<'_>, ms: u64) -> i32 {
    let counts = Arc::clone(ctx.data_unchecked::<Arc<Counts>>());
    counts.started.fetch_add(1, SeqCst);
    let _on_drop = OnDrop(Arc::clone(&counts));
    tokio::time::sleep(Duration::from_millis(ms)).await;
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

    async fn slow(&self, ctx: &Context<'_>, ms: u64) -> i32 {
        slow(ctx, ms).await
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

    async fn slow(&self, ctx: &Context<'_>, ms: u64) -> i32 {
        slow(ctx, ms).await
    }

    async fn panics(&self) -> i32 {
        disco()
    }
}

struct Ticks;

#[Subscription]
impl Ticks {
    async fn ticks(&self) -> impl futures_util::Stream<Item = i32> {
        futures_util::stream::empty()
    }
}
