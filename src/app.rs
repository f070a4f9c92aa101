//! The application behind the HTTP server: authenticates the caller and gives resolvers what they need.

mod admission;
mod authentication;
mod documents;
mod errors;
mod execution;
mod follower;

use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;
use futures_util::{StreamExt, stream};
use poem::Route;

use self::admission::{LONG_RESPONSES, catching_up, expensive_requests};
pub use self::documents::IntrospectionPolicy;
use self::execution::{check_size, is_mutation, reads_directory, who};
use self::follower::{Follower, Subscription};
use crate::access::Viewer;
use crate::auth::avatar_link::AvatarLinks;
use crate::auth::key_ring::KeyRing;
use crate::auth::password::Hasher;
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::LoginInputs;
use crate::avatar::{ImageProcessor, Store};
use crate::budget::{Budget, Size};
use crate::change::feed::Feed;
use crate::change::follow::{Execution, Start};
use crate::db::Db;
use crate::document::PublishedDocuments;
use crate::error::Error;
use crate::graphql::cost::{self, Costs};
use crate::graphql::credential_use::CredentialUses;
use crate::graphql::projection::SelectedFields;
use crate::http::{
    self, Application, AvatarContent, Caller, Event, Events, ExecutionResult, HttpError, PublishedSchema,
    TrustedDocument, introspection,
};
use crate::scalar::Id;
use crate::schema::{self, RosterSchema};
use crate::search_index::{SearchIndex, SearchIndexFile};
use crate::session::{SignInMetrics, TokenAuthenticator, TokenUse};
use crate::share::{Requester, Shares};
use crate::web::{pages, playground};
use crate::{background, user};

/// The running application; cheap to clone.
#[derive(Clone)]
pub struct App {
    db: Db,
    policy: SignInPolicy,
    authenticator: TokenAuthenticator,
    schema: RosterSchema,
    keys: KeyRing,
    avatar_links: AvatarLinks,
    feed: Feed,
    documents: PublishedDocuments,
    introspection: IntrospectionPolicy,
    search_index: SearchIndex,
    costs: Arc<Costs>,
    expensive_requests: Shares<Requester>,
    long_responses: Shares<Requester>,
    catching_up: Shares<Requester>,
    pages: pages::PageSettings,
    sign_ins: SignInMetrics,
}

impl App {
    /// Creates an application that serves a database with up-to-date tables at its public URL.
    ///
    /// # Errors
    /// `Internal` if a field of the schema has no rule.
    pub fn new(
        db: Db,
        policy: SignInPolicy,
        hasher: Hasher,
        public_url: String,
        self_service: SelfServicePolicy,
    ) -> Result<Self, Error> {
        schema::check()?;
        let keys = hasher.key_ring().clone();
        let avatar_links = AvatarLinks::new(keys.clone(), public_url);
        let pages = pages::PageSettings::new(hasher.min_length(), self_service.sign_in_url.clone());
        let expensive_requests = Shares::new(expensive_requests());
        let (sign_ins, search_index) = (SignInMetrics::default(), SearchIndex::new(&db));
        let schema = schema::build().data(sign_ins.clone()).data(db.clone()).data(hasher).data(policy);
        let schema = schema
            .data(search_index.clone())
            .data(ImageProcessor::default())
            .data(LoginInputs::default())
            .data(self_service)
            .data(avatar_links.clone())
            .finish();
        Ok(Self {
            feed: Feed::new(db.clone(), search_index.clone()),
            documents: PublishedDocuments::new(db.clone()),
            introspection: IntrospectionPolicy::default(),
            search_index,
            authenticator: TokenAuthenticator::new(&db, policy.lifetime),
            db,
            policy,
            schema,
            keys,
            avatar_links,
            costs: Arc::new(Costs::new(&schema::sdl())?),
            catching_up: expensive_requests.sibling(catching_up()),
            expensive_requests,
            long_responses: Shares::new(LONG_RESPONSES),
            pages,
            sign_ins,
        })
    }

    /// Starts to load the search index, which may have a file. Returns it: it is to be stopped before the database is closed.
    #[must_use]
    pub fn start_search_index(&self, file: Option<SearchIndexFile>) -> SearchIndex {
        self.search_index.start_with(file);
        self.search_index.clone()
    }

    /// Returns what is counted of sign-ins.
    #[must_use]
    pub fn sign_ins(&self) -> &SignInMetrics {
        &self.sign_ins
    }
}

/// The facts about a document that are collected before execution.
pub struct DocumentInfo {
    selected_fields: Arc<SelectedFields>,
    /// The size of its introspection, or the error if that is too large.
    introspection: Result<Size, Error>,
    credential_uses: CredentialUses,
    /// The places where it selects the description of the schema.
    description_paths: Vec<introspection::DescriptionPath>,
}

impl Application for App {
    type DocumentInfo = DocumentInfo;

    fn analyze(&self, document: &ExecutableDocument) -> DocumentInfo {
        DocumentInfo {
            selected_fields: Arc::new(SelectedFields::in_document(document)),
            introspection: self.costs.introspection(document),
            credential_uses: CredentialUses::in_document(document),
            description_paths: introspection::descriptions(document),
        }
    }

    async fn execute(
        &self,
        caller: Caller,
        mut request: Request,
        info: &DocumentInfo,
    ) -> Result<ExecutionResult, HttpError> {
        let viewer = self.viewer_of(&caller, &mut request).await?;
        self.check_document(&viewer, &request, info)?;
        if info.credential_uses.are_many(&request.variables) {
            return Ok(errors::error_response(errors::too_many_credential_uses()).into());
        }
        let budget = Budget::default();
        let cost = self.cost(&mut request, info, &budget).map_err(errors::http_error)?;
        let who = who(&viewer, &caller);
        let permit = self.admit_expensive(who, cost).await?;
        let is_mutation = is_mutation(&mut request);
        let operation = request.operation_name.clone();
        let db = if permit.is_some() { &self.db.in_background() } else { &self.db };
        let (fields, db) = (Arc::clone(&info.selected_fields), db.within(budget.clone(), who));
        // The viewer was read from the primary before.
        let db = if reads_directory(&viewer, &mut request) { db.on_standby().await } else { db };
        let (request, loads) = self.with_context(request, caller, viewer, fields, db.clone());
        let execution = self.execution(request, loads, budget.clone());
        let (size, mut response) = if permit.is_some() { background::run(execution).await } else { execution.await };
        // A mutation that changed nothing may tell of changes of others that are about to be committed.
        db.settle().await.map_err(|_| HttpError::overloaded(1))?;
        check_size(&budget, size, is_mutation).map_err(errors::http_error)?;
        introspection::set_description(&mut response, operation.as_deref(), &info.description_paths);
        let send_permit = self.admit_long_response(who, size.bytes, is_mutation).await?;
        Ok(ExecutionResult { response, send_permit })
    }

    async fn subscribe(
        &self,
        caller: Caller,
        mut request: Request,
        info: &DocumentInfo,
        last_event_id: Option<String>,
    ) -> Result<Events, HttpError> {
        let viewer = self.viewer(&caller, TokenUse::Request).await?;
        self.check_document(&viewer, &request, info)?;
        let cost = self.cost(&mut request, info, &Budget::default()).and_then(cost::check_event);
        cost.map_err(errors::http_error)?;
        let (fields, start) = (Arc::clone(&info.selected_fields), Arc::new(Start::new(last_event_id)));
        let execution = Execution::Start(Arc::clone(&start));
        let (first_viewer, first_fields) = (viewer.clone(), Arc::clone(&fields));
        let failed = self.execute_event(&mut request, caller.clone(), first_viewer, first_fields, execution).await;
        Ok(match (failed, viewer, start.following().cloned()) {
            (None, Viewer::SignedIn(viewer), Some(following)) => {
                let trusted = http::trusted_document(&request).map(|trusted| http::hash_of(&trusted.text));
                let subscription = Subscription { caller, document: request, trusted, fields, following };
                Follower::new(self.clone(), viewer, subscription).events()
            }
            (Some((response, _)), ..) => stream::iter([Event::Failed(response)]).boxed(),
            // The only field is skipped.
            (None, ..) => stream::empty().boxed(),
        })
    }

    async fn requester(&self, caller: &Caller) -> Result<Requester, HttpError> {
        Ok(who(&self.viewer(caller, TokenUse::OpenConnection).await?, caller))
    }

    async fn authorize_upload(&self, caller: &Caller) -> Result<Id, HttpError> {
        match self.viewer(caller, TokenUse::Request).await? {
            Viewer::Anonymous => Err(HttpError::unauthenticated()),
            Viewer::SignedIn(viewer) => Ok(viewer.user_id),
        }
    }

    async fn avatar(
        &self,
        caller: Caller,
        id: &str,
        query: &str,
        is_cached: impl Fn(&str) -> bool + Send,
    ) -> Result<http::Avatar, HttpError> {
        let id = Id::parse(id);
        let (viewer, linked) = self.avatar_viewer(&caller, id, query).await?;
        let log = |error| errors::log(error, &caller, "failed to read a picture");
        let id = id.ok_or_else(HttpError::not_found)?;
        let hash = user::avatar::hash(&self.db, &viewer, id).await.map_err(log)?;
        let is_shown = |hash: &String| linked.as_ref().is_none_or(|linked| linked == hash);
        let hash = hash.filter(is_shown).ok_or_else(HttpError::not_found)?;
        if is_cached(&hash) {
            return Ok(http::Avatar { hash, content: None });
        }
        let avatar = Store::read(&self.db, id).await.map_err(log)?.ok_or_else(HttpError::not_found)?;
        // The hash is that of the content itself, which may have been replaced between the two reads. A signed URL shows only the
        // picture that it names.
        let hash = avatar.hash();
        if !is_shown(&hash) {
            return Err(HttpError::not_found());
        }
        let content = AvatarContent { content_type: avatar.content_type.name(), bytes: avatar.content };
        Ok(http::Avatar { hash, content: Some(content) })
    }

    async fn trusted_document(&self, key: &str) -> Result<Option<Arc<TrustedDocument>>, HttpError> {
        self.documents.find(key).await.map_err(errors::log_without_caller)
    }

    async fn authorize_document(&self, caller: &Caller, text: &str, for_playground: bool) -> Result<(), HttpError> {
        self.authorize_untrusted(caller, text, for_playground).await
    }

    async fn published_schema(&self, caller: Caller) -> Result<&'static PublishedSchema, HttpError> {
        self.check_reader(&caller).await.map(|()| schema::published())
    }

    fn sdl(&self) -> String {
        schema::sdl_of(&self.schema)
    }

    fn suggests_fields(&self) -> bool {
        self.introspection == IntrospectionPolicy::Everyone
    }

    async fn is_ready(&self) -> bool {
        let is_ready =
            async { Ok::<_, Error>(self.db.pending_migrations().await? == 0 && self.db.is_writable().await?) };
        match is_ready.await {
            Ok(is_ready) => is_ready,
            Err(error) => {
                errors::log_not_ready(&error);
                false
            }
        }
    }

    fn pages(&self, route: Route) -> Route {
        pages::add_to(route, &self.pages)
    }

    fn playground(&self, route: Route) -> Route {
        playground::add_to(route, self.suggests_fields())
    }
}
