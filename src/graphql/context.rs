//! The request context of resolvers.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, UploadValue};

use crate::access::{CurrentViewer, Viewer, action_of};
use crate::auth::avatar_link::AvatarLinks;
use crate::auth::password::Hasher;
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::LoginInputs;
use crate::avatar::ImageProcessor;
use crate::client::Client;
use crate::db::Db;
use crate::error::Error;
use crate::graphql::loader::Loaders;
use crate::graphql::pagination::{CursorKey, PageArgs, PageRequest};
use crate::graphql::position::{Position, RequestPosition};
use crate::graphql::projection::SelectedFields;
use crate::mail::MailQueue;
use crate::scalar::Upload;
use crate::search_index::SearchIndex;

/// The uploaded file of a request, until a resolver takes it.
#[derive(Default)]
pub struct Files(Mutex<Option<Vec<u8>>>);

impl Files {
    /// Keeps the first of the uploads that the server read; its name does not matter.
    #[must_use]
    pub fn new(uploads: Vec<UploadValue>) -> Self {
        Self(Mutex::new(uploads.into_iter().next().map(|upload| upload.content.into())))
    }
}

/// Access to the data of a request. Each method fails with `Internal` if the server did not attach the data to the request;
/// [`take_file`](Self::take_file) and [`page_request`](Self::page_request) also have errors of the input.
pub trait ContextExt {
    /// Returns the database.
    fn db(&self) -> Result<&Db, Error>;

    /// Returns the viewer.
    fn viewer(&self) -> Result<&Viewer, Error>;

    /// Returns the viewer as a value that a sign-in in the same request changes.
    fn current_viewer(&self) -> Result<&CurrentViewer, Error>;

    /// Returns the loaders of related rows, limited to what the viewer sees.
    fn loaders(&self) -> Result<&DataLoader<Loaders>, Error>;

    /// Returns the fields that the request selects.
    fn selected_fields(&self) -> Result<&SelectedFields, Error>;

    /// Returns the hasher of passwords.
    fn hasher(&self) -> Result<&Hasher, Error>;

    /// Returns the shares that limit the inputs with usernames or email addresses under way.
    fn login_inputs(&self) -> Result<&LoginInputs, Error>;

    /// Returns the index that users are searched in.
    fn search_index(&self) -> Result<&SearchIndex, Error>;

    /// Returns the queue to which emails are written.
    fn mail_queue(&self) -> Result<MailQueue<'_>, Error>;

    /// Returns what users may do without being signed in.
    fn self_service(&self) -> Result<&SelfServicePolicy, Error>;

    /// Returns the processor that makes images from files.
    fn image_processor(&self) -> Result<&ImageProcessor, Error>;

    /// Returns the content of the uploaded file. It can be taken once: at most one file is processed for each request.
    ///
    /// # Errors
    /// `BadInput` if there is no file, or it has already been taken.
    fn take_file(&self, upload: Upload) -> Result<Vec<u8>, Error>;

    /// Returns the maker of the URLs of pictures.
    fn avatar_links(&self) -> Result<&AvatarLinks, Error>;

    /// Returns the client that sent the request.
    fn client(&self) -> Result<&Client, Error>;

    /// Returns the rules for signing in.
    fn sign_in_policy(&self) -> Result<SignInPolicy, Error>;

    /// Returns the keys for cursors and positions.
    fn cursor_key(&self) -> Result<CursorKey, Error>;

    /// Returns the position of the request among the changes, which is read now if the request has none yet. Lists that are read
    /// afterwards contain every change up to this position.
    fn position(&self) -> impl Future<Output = Result<Position, Error>> + Send;

    /// Returns the page request for a list, validated by [`PageRequest::new`].
    fn page_request(&self, args: PageArgs, list: &str) -> Result<PageRequest, Error>;
}

impl ContextExt for Context<'_> {
    fn db(&self) -> Result<&Db, Error> {
        attached(self)
    }

    fn viewer(&self) -> Result<&Viewer, Error> {
        Ok(self.current_viewer()?.viewer())
    }

    fn current_viewer(&self) -> Result<&CurrentViewer, Error> {
        attached::<Arc<CurrentViewer>>(self).map(Arc::as_ref)
    }

    fn loaders(&self) -> Result<&DataLoader<Loaders>, Error> {
        attached(self)
    }

    fn selected_fields(&self) -> Result<&SelectedFields, Error> {
        attached::<Arc<SelectedFields>>(self).map(Arc::as_ref)
    }

    fn hasher(&self) -> Result<&Hasher, Error> {
        attached(self)
    }

    fn login_inputs(&self) -> Result<&LoginInputs, Error> {
        attached(self)
    }

    fn search_index(&self) -> Result<&SearchIndex, Error> {
        attached(self)
    }

    fn mail_queue(&self) -> Result<MailQueue<'_>, Error> {
        Ok(MailQueue { keys: self.hasher()?.key_ring(), language: self.client()?.language })
    }

    fn self_service(&self) -> Result<&SelfServicePolicy, Error> {
        attached(self)
    }

    fn image_processor(&self) -> Result<&ImageProcessor, Error> {
        attached(self)
    }

    fn take_file(&self, _: Upload) -> Result<Vec<u8>, Error> {
        let taken = attached::<Files>(self)?.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| {
            Error::BadInput("The file must be sent with the request and can be used only once in it.".to_owned())
        })
    }

    fn avatar_links(&self) -> Result<&AvatarLinks, Error> {
        attached(self)
    }

    fn client(&self) -> Result<&Client, Error> {
        attached(self)
    }

    fn sign_in_policy(&self) -> Result<SignInPolicy, Error> {
        attached(self).copied()
    }

    fn cursor_key(&self) -> Result<CursorKey, Error> {
        Ok(CursorKey::new(&self.hasher()?.keys()))
    }

    async fn position(&self) -> Result<Position, Error> {
        attached::<RequestPosition>(self)?.read(self.db()?, self.viewer()?).await
    }

    fn page_request(&self, args: PageArgs, list: &str) -> Result<PageRequest, Error> {
        PageRequest::new(args, list, &self.cursor_key()?)
    }
}

/// The result of a nullable root field: an error makes only this field null.
pub type NullableField<T> = Option<async_graphql::Result<T>>;

/// Runs `work` if the viewer may perform the action of the root field. A guard on the field checks the same, but its error would
/// make the other root fields null as well.
pub async fn authorized<T>(
    ctx: &Context<'_>,
    work: impl Future<Output = async_graphql::Result<Option<T>>>,
) -> NullableField<T> {
    match action_of(ctx.field().name()).and_then(|action| ctx.viewer()?.may(action)) {
        // The futures of mutations are large, and would be moved on the stack if they were not boxed.
        Ok(()) => Box::pin(work).await.transpose(),
        Err(error) => Some(Err(error.into())),
    }
}

fn attached<'a, T: Send + Sync + 'static>(ctx: &Context<'a>) -> Result<&'a T, Error> {
    ctx.data_opt::<T>()
        .ok_or_else(|| Error::internal(format!("{} is missing from the context", std::any::type_name::<T>())))
}
