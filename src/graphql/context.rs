//! What every resolver may ask for.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, UploadValue};

use crate::access::{CurrentViewer, Viewer, action_of};
use crate::auth::password::Hasher;
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::LoginInputs;
use crate::avatar::ImageProcessor;
use crate::client::Client;
use crate::db::Db;
use crate::error::Error;
use crate::graphql::loader::Loaders;
use crate::graphql::pagination::{PageArgs, PageRequest};
use crate::graphql::projection::SelectedFields;
use crate::mail::MailQueue;
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
pub trait ContextExt {
    /// The database.
    fn db(&self) -> Result<&Db, Error>;

    /// Who is asking.
    fn viewer(&self) -> Result<&Viewer, Error>;

    /// Who is asking, to be told of a sign-in.
    fn current_viewer(&self) -> Result<&CurrentViewer, Error>;

    /// The links between tables, narrowed to what the viewer sees.
    fn loaders(&self) -> Result<&DataLoader<Loaders>, Error>;

    /// The fields that the request names.
    fn selected_fields(&self) -> Result<&SelectedFields, Error>;

    /// What hashes passwords.
    fn hasher(&self) -> Result<&Hasher, Error>;

    /// The inputs with usernames or e-mail addresses that are under way.
    fn login_inputs(&self) -> Result<&LoginInputs, Error>;

    /// By what mails are written.
    fn mail_queue(&self) -> Result<MailQueue<'_>, Error>;

    /// What people may do who are not signed in.
    fn self_service(&self) -> Result<&SelfServicePolicy, Error>;

    /// What makes pictures of files.
    fn image_processor(&self) -> Result<&ImageProcessor, Error>;

    /// The content of a file that was sent, which is there once: no request has more than one file worked on.
    fn take_file(&self, upload: Upload) -> Result<Vec<u8>, Error>;

    /// The address at which people reach the server.
    fn public_url(&self) -> Result<&str, Error>;

    /// Where the request comes from.
    fn client(&self) -> Result<&Client, Error>;

    /// By what rules people sign in.
    fn sign_in_policy(&self) -> Result<SignInPolicy, Error>;

    /// Which part of a list is asked for, as [`PageRequest::new`] checks it.
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

    fn mail_queue(&self) -> Result<MailQueue<'_>, Error> {
        Ok(MailQueue { key: self.hasher()?.key(), language: self.client()?.language })
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

    fn public_url(&self) -> Result<&str, Error> {
        attached::<PublicUrl>(self).map(|url| url.0.as_str())
    }

    fn client(&self) -> Result<&Client, Error> {
        attached(self)
    }

    fn sign_in_policy(&self) -> Result<SignInPolicy, Error> {
        attached(self).copied()
    }

    fn page_request(&self, args: PageArgs, list: &str) -> Result<PageRequest, Error> {
        PageRequest::new(args, list, attached(self)?)
    }
}

/// The outcome of a root field that may be null: an error makes this field null, and no other.
pub type NullableField<T> = Option<async_graphql::Result<T>>;

/// Does `work` if the action behind the root field is open to the viewer. As a guard on the field does, but a guard's
/// error would take the fields beside it along.
pub async fn authorized<T>(
    ctx: &Context<'_>,
    work: impl Future<Output = async_graphql::Result<Option<T>>>,
) -> NullableField<T> {
    match action_of(ctx.field().name()).and_then(|action| ctx.viewer()?.may(action)) {
        // Mutations are large, and what holds them is moved about on the stack.
        Ok(()) => Box::pin(work).await.transpose(),
        Err(error) => Some(Err(error.into())),
    }
}

fn attached<'a, T: Send + Sync + 'static>(ctx: &Context<'a>) -> Result<&'a T, Error> {
    ctx.data_opt::<T>()
        .ok_or_else(|| Error::internal(format!("{} is missing from the context", std::any::type_name::<T>())))
}
