//! Inbox of the audit trail: events of committed writes that have no place in the hash chain yet. Only PostgreSQL has it.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use super::audit_event::{AuditAction, SubjectType};
use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_inbox")]
pub struct Model {
    /// The number of the row, assigned by the database when the event is inserted.
    #[sea_orm(primary_key)]
    pub number: i64,
    pub id: Id,
    pub license_id: Id,
    pub at: DateTime<Utc>,
    pub action: AuditAction,
    pub actor_id: Option<Id>,
    pub api_key_id: Option<Id>,
    pub subject_type: SubjectType,
    pub subject_id: Id,
    pub request_id: Option<String>,
    pub changes: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub salt: Option<Vec<u8>>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub changes_hash: Option<Vec<u8>>,
    /// SHA-256 of the event except its place in the chain.
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub content_hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
