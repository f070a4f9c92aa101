//! Compilation of user filters to SQL conditions.

mod ids;
mod references;
mod texts;
mod values;

use std::sync::Arc;

use async_graphql::{InputType, MaybeUndefined};
use sea_orm::ColumnTrait;
use sea_orm::sea_query::{BinOper, Condition, Expr, ExprTrait, Query, SimpleExpr};
use serde_json::Value;

use self::texts::TokenUsers;
use super::filter::{AttributeFilter, UserFilter};
use crate::access::{Action, Viewer};
use crate::attribute_values::{self, Definitions};
use crate::db::Db;
use crate::db::conditions::no_index_hint;
use crate::entity::invitation::{self, InvitationState};
use crate::entity::user;
use crate::error::Error;
use crate::graphql::filter::FilterBuilder;
use crate::scalar::Json;
use crate::search_index::{SearchIndex, Snapshot};

/// The maximum depth of nested filters, the outermost included.
const MAX_DEPTH: usize = 5;

/// A filter, compiled to a condition for users.
pub struct CompiledFilter {
    /// The text that distinguishes a list with this filter from other lists.
    pub name: String,
    /// The number of comparisons.
    pub comparisons: usize,
    pub condition: Condition,
    /// Whether so few users match that they are better found by the filter's own conditions than by their license.
    pub is_selective: bool,
}

impl CompiledFilter {
    /// Compiles a filter. Without a filter, every user matches.
    ///
    /// # Errors
    /// `BadInput` with everything that is wrong; `Forbidden` for private fields.
    pub async fn new(
        db: &Db,
        index: &SearchIndex,
        viewer: &Viewer,
        filter: Option<Box<UserFilter>>,
    ) -> Result<Self, Error> {
        let Some(filter) = filter else {
            return Ok(Self { name: String::new(), comparisons: 0, condition: Condition::all(), is_selective: false });
        };
        if filter.is_too_large() {
            return Err(Error::BadInput("filter: must contain at most 100 filters.".to_owned()));
        }
        let definitions = if filter.names_attribute() {
            attribute_values::definitions(db.read(), viewer.signed_in()?.license_id).await?
        } else {
            Definitions::new()
        };
        let defined: Vec<String> = definitions.values().map(|definition| definition.id.0.to_string()).collect();
        let name = format!("{} {}", filter.to_value(), defined.join(" "));
        // The latest, because the list must be the same as without the index.
        let snapshot = if filter.looks_for_parts() { Some(index.latest_snapshot().await?) } else { None };
        let (postgres, mut builder) = (db.is_postgres(), FilterBuilder::new(db.is_postgres()));
        let token_users = TokenUsers::default();
        let mut compiler =
            FilterCompiler { viewer, definitions, snapshot, token_users, postgres, builder: &mut builder };
        let PartCondition { condition, is_selective } = compiler.compile(*filter, "filter", 1)?;
        let comparisons = builder.finish()?;
        Ok(Self { name, comparisons, condition, is_selective })
    }

    /// Returns the condition for users who match both the filter and the condition `visible`.
    #[must_use]
    pub fn among(self, visible: Condition) -> Condition {
        let visible = if self.is_selective { no_index_hint(visible).into() } else { visible };
        Condition::all().add(visible).add(self.condition)
    }
}

/// The condition of a part of a filter.
struct PartCondition {
    condition: Condition,
    is_selective: bool,
}

impl From<Condition> for PartCondition {
    fn from(condition: Condition) -> Self {
        Self { condition, is_selective: false }
    }
}

/// The compiler of a filter.
struct FilterCompiler<'a> {
    viewer: &'a Viewer,
    definitions: Definitions,
    /// The index that parts of texts are looked up in.
    snapshot: Option<Arc<Snapshot>>,
    token_users: TokenUsers,
    postgres: bool,
    builder: &'a mut FilterBuilder,
}

impl FilterCompiler<'_> {
    fn compile(&mut self, mut filter: UserFilter, path: &str, depth: usize) -> Result<PartCondition, Error> {
        if depth > MAX_DEPTH {
            self.builder.add_error(path, format_args!("must be nested at most {MAX_DEPTH} levels deep."));
            return Ok(Condition::all().into());
        }
        let and = self.builder.non_null(path, "and", std::mem::take(&mut filter.and));
        let or = self.builder.non_null(path, "or", std::mem::take(&mut filter.or));
        let not = self.builder.non_null(path, "not", std::mem::take(&mut filter.not));
        let PartCondition { mut condition, mut is_selective } = self.compile_fields(filter, path)?;
        if let Some(parts) = and {
            for part in self.compile_list(parts, path, "and", depth)? {
                is_selective |= part.is_selective;
                condition = condition.add(part.condition);
            }
        }
        if let Some(parts) = or {
            let parts = self.compile_list(parts, path, "or", depth)?;
            is_selective |= !parts.is_empty() && parts.iter().all(|part| part.is_selective);
            let any = parts.into_iter().fold(Condition::any(), |any, part| any.add(part.condition));
            condition = condition.add(if any.is_empty() { Condition::all().add(Expr::val(1).eq(0)) } else { any });
        }
        if let Some(part) = not {
            let part = self.compile(*part, &format!("{path}.not"), depth + 1)?;
            condition = condition.add(is_not_true(part.condition));
        }
        Ok(PartCondition { condition, is_selective })
    }

    fn compile_list(
        &mut self,
        parts: Vec<UserFilter>,
        path: &str,
        field: &str,
        depth: usize,
    ) -> Result<Vec<PartCondition>, Error> {
        let parts = parts.into_iter().enumerate();
        parts.map(|(index, part)| self.compile(part, &format!("{path}.{field}.{index}"), depth + 1)).collect()
    }

    /// Returns the value that is given for a column, as [`FilterBuilder::non_null`], if the viewer may filter by it.
    fn non_null<T: InputType>(
        &mut self,
        path: &str,
        column: user::Column,
        given: MaybeUndefined<T>,
    ) -> Result<Option<T>, Error> {
        let given = self.builder.non_null(path, &column.field(), given);
        if given.is_some() {
            self.viewer.may_filter(column)?;
        }
        Ok(given)
    }

    /// Returns the condition of a filter's own fields, without the filters in it.
    fn compile_fields(&mut self, mut filter: UserFilter, path: &str) -> Result<PartCondition, Error> {
        let (attribute, invitation) = (std::mem::take(&mut filter.attribute), std::mem::take(&mut filter.invitation));
        let reference = std::mem::take(&mut filter.external_reference);
        let parts = [
            self.texts(path, &filter)?,
            self.ids(path, &mut filter)?,
            self.times(path, &mut filter)?,
            self.flags(path, &filter)?,
            self.admin_rights(path, filter.admin_rights)?,
            self.choices(path, filter)?,
            self.attribute(path, attribute)?,
            self.invitation(path, invitation)?,
            self.reference(path, reference)?,
        ];
        let is_selective = parts.iter().any(|part| part.is_selective);
        let condition = parts.into_iter().fold(Condition::all(), |all, part| all.add(part.condition));
        Ok(PartCondition { condition, is_selective })
    }

    fn invitation(&mut self, path: &str, states: MaybeUndefined<Vec<InvitationState>>) -> Result<PartCondition, Error> {
        let states = self.builder.non_null(path, "invitation", states);
        let path = format!("{path}.invitation");
        let Some(states) = self.builder.values(&path, states, |_, _, state| Some(state)) else {
            return Ok(Condition::all().into());
        };
        self.viewer.may(Action::SeeInvitations)?;
        let any = states.iter().fold(Condition::any(), |any, state| any.add(state.condition()));
        let in_state = if any.is_empty() { Condition::all().add(Expr::val(1).eq(0)) } else { any };
        // An email waits for seconds, and few cannot be sent. In the other states, there may be as many invitations as users.
        let is_selective =
            states.iter().all(|state| matches!(state, InvitationState::Queued | InvitationState::Failed));
        let invited = if is_selective { found_by_invitation(in_state) } else { has_invitation(in_state) };
        let mut condition = Condition::any().add(invited);
        if states.contains(&InvitationState::NotInvited) {
            condition = condition.add(invitation::not_invited());
        }
        Ok(PartCondition { condition, is_selective })
    }

    fn attribute(&mut self, path: &str, filter: MaybeUndefined<AttributeFilter>) -> Result<PartCondition, Error> {
        let all_users = PartCondition::from(Condition::all());
        let filter = self.builder.non_null(path, "attribute", filter);
        let path = format!("{path}.attribute");
        let Some(AttributeFilter { name, value }) = filter else { return Ok(all_users) };
        self.viewer.may(Action::FilterPrivate)?;
        self.builder.count();
        let value = match value {
            MaybeUndefined::Undefined => {
                self.builder.add_error(&format!("{path}.value"), "must be a value or null.");
                return Ok(all_users);
            }
            MaybeUndefined::Null => Value::Null,
            MaybeUndefined::Value(Json(value)) => value,
        };
        let Some(definition) = self.definitions.get(&name) else {
            self.builder.add_error(&format!("{path}.name"), "there is no such attribute.");
            return Ok(all_users);
        };
        match attribute_values::equals(definition, &value) {
            Ok(equals) => {
                Ok(PartCondition { condition: Condition::all().add(equals), is_selective: value != Value::Null })
            }
            Err(error) => {
                self.builder.add_error(&format!("{path}.value"), error.rule());
                Ok(all_users)
            }
        }
    }
}

/// Returns the path of a field of a filter.
fn path_of(path: &str, column: user::Column) -> String {
    format!("{path}.{}", column.field())
}

/// Returns the condition that another condition is false or unknown.
fn is_not_true(condition: Condition) -> SimpleExpr {
    SimpleExpr::from(condition).binary(BinOper::IsNot, SimpleExpr::Constant(true.into()))
}

/// Returns the condition for users with an invitation in some state, for few invitations: they are read first.
fn found_by_invitation(in_state: Condition) -> SimpleExpr {
    let mut invited = Query::select();
    invited.column(invitation::Column::UserId).from(invitation::Entity).cond_where(in_state);
    user::Column::Id.in_subquery(invited)
}

/// Returns the same condition for many invitations: it is checked for each user.
fn has_invitation(in_state: Condition) -> SimpleExpr {
    let mut invitation = Query::select();
    let user = Expr::col(user::Column::Id.as_column_ref());
    invitation.expr(Expr::val(1)).from(invitation::Entity).cond_where(in_state);
    invitation.and_where(Expr::col(invitation::Column::UserId.as_column_ref()).eq(user));
    Expr::exists(invitation)
}
