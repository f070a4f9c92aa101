//! What every resolver may ask for.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, UploadValue};

use crate::access::{Asking, Viewer, action_of};
use crate::auth::password::Hasher;
use crate::auth::policy::{Rules, Ways};
use crate::auth::throttle::LoginInputs;
use crate::avatar::Studio;
use crate::client::Client;
use crate::db::Db;
use crate::error::Error;
use crate::graphql::loader::Links;
use crate::graphql::pagination::{PageArgs, Window};
use crate::graphql::projection::Named;
use crate::mail::Desk;
use crate::scalar::Upload;

/// The address at which people reach the server; what it links to begins with it.
#[derive(Clone, Debug)]
pub struct PublicUrl(pub String);

/// The file that came with a request, until a resolver takes it.
#[derive(Default)]
pub struct Files(Mutex<Option<Vec<u8>>>);

impl Files {
    /// What the server read; one file, whatever its name is.
    #[must_use]
    pub fn new(uploads: Vec<UploadValue>) -> Self {
        Self(Mutex::new(uploads.into_iter().next().map(|upload| upload.content.into())))
    }
}

/// The request as resolvers see it. Each of these fails only where the server forgot to attach what is asked for,
/// but for a file, which may have been taken.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait ContextExt {
    /// The database.
    fn db(&self) -> Result<&Db, Error>;

    /// Who is asking.
    fn viewer(&self) -> Result<&Viewer, Error>;

    /// Who is asking, to be told of a sign-in.
    fn asking(&self) -> Result<&Asking, Error>;

    /// The links between tables, narrowed to what the viewer sees.
    fn links(&self) -> Result<&DataLoader<Links>, Error>;

    /// The fields that the request names.
    fn named(&self) -> Result<&Named, Error>;

    /// What hashes passwords.
    fn hasher(&self) -> Result<&Hasher, Error>;

    /// The inputs with usernames or e-mail addresses that are under way.
    fn login_inputs(&self) -> Result<&LoginInputs, Error>;

    /// By what mails are written.
    fn desk(&self) -> Result<Desk<'_>, Error>;

    /// What people may do who are not signed in.
    fn ways(&self) -> Result<&Ways, Error>;

    /// What makes pictures of files.
    fn studio(&self) -> Result<&Studio, Error>;

    /// The content of a file that was sent, which is there once: no request has more than one file worked on.
    fn take_file(&self, upload: Upload) -> Result<Vec<u8>, Error>;

    /// The address at which people reach the server.
    fn public_url(&self) -> Result<&str, Error>;

    /// Where the request comes from.
    fn client(&self) -> Result<&Client, Error>;

    /// By what rules people sign in.
    fn rules(&self) -> Result<Rules, Error>;

    /// Which part of a list is asked for, as [`Window::new`] checks it.
    fn window(&self, args: PageArgs, list: &str) -> Result<Window, Error>;
}

impl ContextExt for Context<'_> {
    fn db(&self) -> Result<&Db, Error> {
        attached(self)
    }

    fn viewer(&self) -> Result<&Viewer, Error> {
        Ok(self.asking()?.viewer())
    }

    fn asking(&self) -> Result<&Asking, Error> {
        attached::<Arc<Asking>>(self).map(Arc::as_ref)
    }

    fn links(&self) -> Result<&DataLoader<Links>, Error> {
        attached(self)
    }

    fn named(&self) -> Result<&Named, Error> {
        attached::<Arc<Named>>(self).map(Arc::as_ref)
    }

    fn hasher(&self) -> Result<&Hasher, Error> {
        attached(self)
    }

    fn login_inputs(&self) -> Result<&LoginInputs, Error> {
        attached(self)
    }

    fn desk(&self) -> Result<Desk<'_>, Error> {
        Ok(Desk { key: self.hasher()?.key(), language: self.client()?.language })
    }

    fn ways(&self) -> Result<&Ways, Error> {
        attached(self)
    }

    fn studio(&self) -> Result<&Studio, Error> {
        attached(self)
    }

    fn take_file(&self, _: Upload) -> Result<Vec<u8>, Error> {
        let taken = attached::<Files>(self)?.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| Error::BadInput("A file is used once in a request, and sent with it.".to_owned()))
    }

    fn public_url(&self) -> Result<&str, Error> {
        attached::<PublicUrl>(self).map(|url| url.0.as_str())
    }

    fn client(&self) -> Result<&Client, Error> {
        attached(self)
    }

    fn rules(&self) -> Result<Rules, Error> {
        attached(self).copied()
    }

    fn window(&self, args: PageArgs, list: &str) -> Result<Window, Error> {
        Window::new(args, list, attached(self)?)
    }
}

/// The outcome of a root field that may be null: an error makes this field null, and no other.
pub type Answer<T> = Option<async_graphql::Result<T>>;

/// Does `work` if the action behind the root field is open to the viewer. As a guard on the field does, but a guard's
/// error would take the fields beside it along.
pub async fn answer<T>(ctx: &Context<'_>, work: impl Future<Output = async_graphql::Result<Option<T>>>) -> Answer<T> {
    match action_of(ctx.field().name()).and_then(|action| ctx.viewer()?.may(action)) {
        // Mutations are large, and what holds them is moved about on the stack.
        Ok(()) => Box::pin(work).await.transpose(),
        Err(error) => Some(Err(error.into())),
    }
}

fn attached<'a, T: Send + Sync + 'static>(ctx: &Context<'a>) -> Result<&'a T, Error> {
    ctx.data_opt::<T>().ok_or_else(|| Error::internal(format!("{} is not attached", std::any::type_name::<T>())))
}
