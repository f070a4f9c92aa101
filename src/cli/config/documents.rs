//! Settings of documents and of the schema.

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::app::IntrospectionPolicy;
use crate::http::DocumentPolicy;

/// The documents that a server executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AllowedDocuments {
    /// All documents.
    Any,
    /// Only those that were published with `roster documents publish`.
    TrustedOnly,
}

/// The callers who may read the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaReaders {
    Everyone,
    Administrators,
    Nobody,
}

/// Settings of documents and of the schema.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct DocumentSettings {
    /// Documents that are executed: any, or only those that were published with `roster documents publish`.
    #[arg(
        long,
        env = "ROSTER_DOCUMENTS",
        default_value = "any",
        global = true,
        value_name = "DOCUMENTS",
        ignore_case = true
    )]
    pub documents: AllowedDocuments,
    /// Whether administrators may also send other documents with --documents trusted-only, as the playground does. Needs a
    /// session; API keys may not.
    #[arg(long, env = "ROSTER_PLAYGROUND_DOCUMENTS", default_value_t = false, global = true, value_name = "BOOL",
          action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub playground_documents: bool,
    /// Callers who may read the schema, by introspection, at /schema.graphql and at /docs.
    #[arg(
        long,
        env = "ROSTER_INTROSPECTION",
        default_value = "everyone",
        global = true,
        value_name = "READERS",
        ignore_case = true
    )]
    pub introspection: SchemaReaders,
}

impl DocumentSettings {
    /// Returns the documents that the server executes. Without a playground, nobody may send others.
    #[must_use]
    pub fn policy(&self, playground: bool) -> DocumentPolicy {
        match self.documents {
            AllowedDocuments::Any => DocumentPolicy::Any,
            AllowedDocuments::TrustedOnly => {
                DocumentPolicy::TrustedOnly { for_playground: playground && self.playground_documents }
            }
        }
    }

    /// Returns who may read the schema.
    #[must_use]
    pub fn introspection(&self) -> IntrospectionPolicy {
        match self.introspection {
            SchemaReaders::Everyone => IntrospectionPolicy::Everyone,
            SchemaReaders::Administrators => IntrospectionPolicy::Administrators,
            SchemaReaders::Nobody => IntrospectionPolicy::Nobody,
        }
    }
}
