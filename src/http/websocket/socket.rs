//! The state of one socket: its initialisation, its subscriptions, and its end.

use std::{collections::HashMap, pin::pin, time::Duration};

use futures_util::{SinkExt, StreamExt};
use ipnet::IpNet;
use poem::{
    http::StatusCode,
    web::websocket::{Message, WebSocketStream},
};
use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, interval_at, timeout},
};

use super::close::{Close, CloseCode};
use super::inbound::Inbound;
use super::message::{ClientMessage, ServerMessage, authorization};
use super::operation::{Operation, Produced};
use crate::http::{
    Application, Event,
    caller::{Caller, bearer_token},
    error::HttpError,
    outcome::Outcome,
    request::Reader,
    response::Body,
    subscriptions::Subscriptions,
};
use crate::measure::UnderWay;
use crate::share::{Requester, Share};

/// Maximum number of messages before `connection_init` is complete.
const MAX_INIT_MESSAGES: usize = 10;
/// The time that a socket waits for its client to confirm that it closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open socket.
pub struct Socket<A: Application> {
    app: A,
    reader: Reader<A>,
    inbound: Inbound<A>,
    caller: Caller,
    /// The user; `None` before the initialisation.
    who: Option<Requester>,
    subscriptions: Subscriptions,
    stream: WebSocketStream,
    operations: HashMap<String, Running>,
    /// The tasks of the subscriptions, which end with the socket.
    tasks: JoinSet<()>,
    last_serial: u64,
    sender: mpsc::Sender<Produced>,
    produced: mpsc::Receiver<Produced>,
    /// Whether the client has sent anything since the last ping.
    is_alive: bool,
}

/// A subscription under way.
struct Running {
    serial: u64,
    task: AbortHandle,
    /// Held until the subscription ends.
    _held: (Share<Requester>, UnderWay),
}

impl<A: Application> Socket<A> {
    pub fn new(
        app: A,
        reader: Reader<A>,
        caller: Caller,
        subscriptions: Subscriptions,
        stream: WebSocketStream,
    ) -> Self {
        // One event waits for the socket, and one in each task.
        let (sender, produced) = mpsc::channel(1);
        Self {
            app,
            inbound: Inbound::new(reader.clone(), caller.address),
            reader,
            caller,
            who: None,
            subscriptions,
            stream,
            operations: HashMap::new(),
            tasks: JoinSet::new(),
            last_serial: 0,
            sender,
            produced,
            is_alive: true,
        }
    }

    /// Serves the socket until it closes. `handshake` is the slot of a socket that is not initialised.
    pub async fn serve(mut self, offers_protocol: bool, handshake: Share<IpNet>) {
        let close = if offers_protocol {
            self.run(handshake).await
        } else {
            Close::new(CloseCode::NoSubprotocol, "Subprotocol not acceptable")
        };
        self.close(close).await;
    }

    async fn run(&mut self, handshake: Share<IpNet>) -> Close {
        let mut stopped = pin!(self.subscriptions.stopped());
        let initialised = tokio::select! {
            initialised = self.initialise() => initialised,
            () = &mut stopped => Err(Close::going_away()),
        };
        match initialised {
            Ok(share) => {
                drop(handshake);
                let close = self.exchange(stopped).await;
                drop(share);
                close
            }
            Err(close) => close,
        }
    }

    /// Waits for the client to initialise the connection, and acknowledges it. Returns the slot of the user.
    async fn initialise(&mut self) -> Result<Share<Requester>, Close> {
        let received = timeout(self.subscriptions.timeouts.init, self.receive_init()).await;
        let payload =
            received.map_err(|_| Close::new(CloseCode::InitTimeout, "Connection initialisation timeout"))??;
        let forbidden = || Close::new(CloseCode::Forbidden, "Forbidden");
        if let Some(authorization) = authorization(payload.as_ref()) {
            let token = authorization.as_str().and_then(bearer_token).ok_or_else(forbidden)?;
            self.caller.token = Some(token.to_owned());
        }
        let who = match self.app.requester(&self.caller).await {
            Ok(who @ Requester::User(_)) => who,
            Ok(Requester::Network(_)) => return Err(forbidden()),
            Err(error) if error.status == StatusCode::UNAUTHORIZED => return Err(forbidden()),
            Err(error) => {
                return Err(
                    Close::of_http_error(&error).unwrap_or_else(|| Close::new(CloseCode::Internal, "Internal error"))
                );
            }
        };
        let too_many = || Close::new(CloseCode::TooManySockets, "Too many sockets and event streams are open");
        let share = self.subscriptions.take_stream(who).await.ok_or_else(too_many)?;
        self.who = Some(who);
        self.send(&ServerMessage::ConnectionAck).await?;
        Ok(share)
    }

    async fn receive_init(&mut self) -> Result<Option<Map<String, Value>>, Close> {
        for _ in 0..MAX_INIT_MESSAGES {
            match self.inbound.next(&mut self.stream).await? {
                Some(ClientMessage::ConnectionInit { payload }) => return Ok(payload),
                Some(ClientMessage::Ping) => self.send(&ServerMessage::Pong).await?,
                Some(ClientMessage::Subscribe { .. }) => {
                    return Err(Close::new(CloseCode::Unauthorized, "Unauthorized"));
                }
                None | Some(ClientMessage::Pong | ClientMessage::Complete { .. }) => {}
            }
        }
        Err(Close::new(CloseCode::BadMessage, "Too many messages before the initialisation"))
    }

    /// Receives messages and sends events until the socket closes.
    async fn exchange(&mut self, mut stopped: impl Future<Output = ()> + Unpin) -> Close {
        let (app, caller, subscriptions) = (self.app.clone(), self.caller.clone(), self.subscriptions.clone());
        let mut invalidated = pin!(subscriptions.invalidated(&app, &caller));
        let mut pings = interval_at(Instant::now() + subscriptions.timeouts.ping, subscriptions.timeouts.ping);
        loop {
            let handled = tokio::select! {
                message = self.inbound.next(&mut self.stream) => self.receive(message).await,
                Some(produced) = self.produced.recv() => self.deliver(produced).await,
                _ = pings.tick() => self.ping().await,
                error = &mut invalidated => Err(Close::of_http_error(&error).unwrap_or_else(Close::going_away)),
                () = &mut stopped => Err(Close::going_away()),
            };
            if let Err(close) = handled {
                return close;
            }
        }
    }

    async fn receive(&mut self, message: Result<Option<ClientMessage>, Close>) -> Result<(), Close> {
        self.is_alive = true;
        match message? {
            Some(ClientMessage::Subscribe { id, payload, is_long }) => self.subscribe(id, payload, is_long).await,
            Some(ClientMessage::Complete { id }) => {
                self.end(&id);
                Ok(())
            }
            Some(ClientMessage::Ping) => self.send(&ServerMessage::Pong).await,
            Some(ClientMessage::ConnectionInit { .. }) => {
                Err(Close::new(CloseCode::TooManyInits, "Too many initialisation requests"))
            }
            None | Some(ClientMessage::Pong) => Ok(()),
        }
    }

    async fn subscribe(&mut self, id: String, payload: Map<String, Value>, is_long: bool) -> Result<(), Close> {
        if self.operations.contains_key(&id) {
            return Err(Close::new(CloseCode::DuplicateId, format!("Subscriber for {id} already exists")));
        }
        let who = self.who.ok_or_else(|| Close::new(CloseCode::Unauthorized, "Unauthorized"))?;
        let share = match self.subscriptions.take_subscription(who).await {
            Ok(share) => share,
            Err(error) => return self.send_error(&id, &error).await,
        };
        while self.tasks.try_join_next().is_some() {}
        self.last_serial += 1;
        let (app, reader, caller) = (self.app.clone(), self.reader.clone(), self.caller.clone());
        let operation = Operation { app, reader, caller, id: id.clone(), serial: self.last_serial, is_long };
        let task = self.tasks.spawn(operation.run(payload, self.sender.clone()));
        let held = (share, self.subscriptions.metrics.begin_subscription());
        self.operations.insert(id, Running { serial: self.last_serial, task, _held: held });
        Ok(())
    }

    /// Ends a subscription if it is under way.
    fn end(&mut self, id: &str) {
        if let Some(Running { task, .. }) = self.operations.remove(id) {
            task.abort();
        }
    }

    /// Sends an event, unless its subscription has ended meanwhile.
    async fn deliver(&mut self, Produced { id, serial, event }: Produced) -> Result<(), Close> {
        if self.operations.get(&id).is_none_or(|running| running.serial != serial) {
            return Ok(());
        }
        let request_id = self.caller.request_id.clone();
        match event {
            Some(Event::Begin { .. }) => Ok(()),
            Some(Event::Next { mut response, send_permit, .. }) => {
                let payload = Body::of_response(&mut response, &request_id);
                let sent = self.send(&ServerMessage::Next { id: &id, payload }).await;
                drop(send_permit);
                sent
            }
            Some(Event::Failed(mut response)) => {
                self.end(&id);
                let payload = Body::of_response(&mut response, &request_id).errors;
                self.send(&ServerMessage::Error { id: &id, payload }).await
            }
            Some(Event::Refused(error)) => {
                if let Some(close) = Close::of_http_error(&error) {
                    return Err(close);
                }
                self.end(&id);
                self.send_error(&id, &error).await
            }
            None => {
                self.end(&id);
                self.send(&ServerMessage::Complete { id: &id }).await
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Close> {
        if !self.is_alive {
            return Err(Close::new(CloseCode::NoPong, "No answer to a ping"));
        }
        self.is_alive = false;
        self.write(Message::Ping(Vec::new())).await
    }

    async fn send_error(&mut self, id: &str, error: &HttpError) -> Result<(), Close> {
        Outcome::of_error(error).bound.into_iter().for_each(|bound| self.subscriptions.metrics.count_refusal(bound));
        let payload = error.server_errors(&self.caller.request_id);
        self.send(&ServerMessage::Error { id, payload: &payload }).await
    }

    async fn send(&mut self, message: &ServerMessage<'_>) -> Result<(), Close> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "failed to serialize a message as JSON");
            Close::new(CloseCode::Internal, "Internal error")
        })?;
        self.write(Message::Text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Close> {
        match timeout(self.subscriptions.timeouts.write, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Close::ByClient),
            Err(_) => Err(Close::new(CloseCode::Slow, "The events are not read; resume after the last position")),
        }
    }

    /// Ends the subscriptions and closes the socket, if its client still listens.
    async fn close(mut self, close: Close) {
        self.tasks.abort_all();
        tracing::debug!(?close, request_id = self.caller.request_id, "a socket closes");
        let closed = async {
            let Close::ByServer(code, reason) = close else { return self.stream.close().await };
            self.stream.send(Message::close_with(code as u16, reason)).await?;
            while let Some(Ok(_)) = self.stream.next().await {}
            Ok(())
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!(request_id = self.caller.request_id, "a client did not confirm that its socket closes");
        }
    }
}
