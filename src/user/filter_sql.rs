//! Compilation of user filters to SQL conditions.

use async_graphql::{InputType, MaybeUndefined};
use sea_orm::sea_query::{BinOper, Condition, Expr, ExprTrait, IntoCondition, Query, SimpleExpr};
use sea_orm::{ColumnTrait, DatabaseBackend, IdenStatic};
use serde_json::Value;

use super::filter::{AttributeFilter, UserFilter};
use crate::access::{Action, Viewer};
use crate::attribute_values::{self, Definitions};
use crate::db::Db;
use crate::db::conditions::no_index_hint;
use crate::entity::invitation::{self, InvitationState};
use crate::entity::membership;
use crate::entity::site_access::{accesses_any, accesses_one_of};
use crate::entity::user::{self, Role};
use crate::error::Error;
use crate::graphql::filter::{FilterBuilder, IdFilter, Normalizer, Text};
use crate::scalar::{Id, Json};
use crate::{search_index, text};

/// The maximum depth of nested filters, the outermost included.
const DEEPEST: usize = 5;
/// The length from which a token is selective: most runs of so many letters belong to few users. A digit counts as two letters.
const LEAST_TELLING: usize = 3;
/// The same for addresses, in which almost every user has the shorter tokens, such as `com` and `org`.
const LEAST_TELLING_OF_ADDRESS: usize = 4;

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
    pub async fn new(db: &Db, viewer: &Viewer, filter: Option<Box<UserFilter>>) -> Result<Self, Error> {
        let Some(filter) = filter else {
            return Ok(Self { name: String::new(), comparisons: 0, condition: Condition::all(), is_selective: false });
        };
        if filter.is_too_large() {
            return Err(Error::BadInput("filter: must contain at most 100 nested filters.".to_owned()));
        }
        let definitions = if filter.names_attribute() {
            attribute_values::definitions(db.read(), viewer.signed_in()?.license_id).await?
        } else {
            Definitions::new()
        };
        let defined: Vec<String> = definitions.values().map(|definition| definition.id.0.to_string()).collect();
        let name = format!("{} {}", filter.to_value(), defined.join(" "));
        let mut reading = FilterBuilder::new(db.is_postgres());
        let mut asked = FilterCompiler { viewer, definitions, postgres: db.is_postgres(), reading: &mut reading };
        let MatchingIds { condition, is_selective } = asked.read(*filter, "filter", 1)?;
        let comparisons = reading.finish()?;
        Ok(Self { name, comparisons, condition, is_selective })
    }

    /// Returns the condition for users who match both the filter and the condition `seen`.
    #[must_use]
    pub fn among(self, seen: Condition) -> Condition {
        let seen = if self.is_selective { no_index_hint(seen).into() } else { seen };
        Condition::all().add(seen).add(self.condition)
    }
}

/// The condition of a part of a filter.
struct MatchingIds {
    condition: Condition,
    is_selective: bool,
}

impl From<Condition> for MatchingIds {
    fn from(condition: Condition) -> Self {
        Self { condition, is_selective: false }
    }
}

/// The compiler of a filter.
struct FilterCompiler<'a> {
    viewer: &'a Viewer,
    definitions: Definitions,
    postgres: bool,
    reading: &'a mut FilterBuilder,
}

impl FilterCompiler<'_> {
    fn read(&mut self, mut filter: UserFilter, path: &str, depth: usize) -> Result<MatchingIds, Error> {
        if depth > DEEPEST {
            self.reading.fault(path, format_args!("must be nested at most {DEEPEST} levels deep."));
            return Ok(Condition::all().into());
        }
        let and = self.reading.given(path, "and", std::mem::take(&mut filter.and));
        let or = self.reading.given(path, "or", std::mem::take(&mut filter.or));
        let not = self.reading.given(path, "not", std::mem::take(&mut filter.not));
        let MatchingIds { mut condition, mut is_selective } = self.own(filter, path)?;
        if let Some(parts) = and {
            for part in self.joined(parts, path, "and", depth)? {
                is_selective |= part.is_selective;
                condition = condition.add(part.condition);
            }
        }
        if let Some(parts) = or {
            let parts = self.joined(parts, path, "or", depth)?;
            is_selective |= !parts.is_empty() && parts.iter().all(|part| part.is_selective);
            let any = parts.into_iter().fold(Condition::any(), |any, part| any.add(part.condition));
            condition = condition.add(if any.is_empty() { Condition::all().add(Expr::val(1).eq(0)) } else { any });
        }
        if let Some(part) = not {
            let part = self.read(*part, &format!("{path}.not"), depth + 1)?;
            condition = condition.add(is_not_true(part.condition));
        }
        Ok(MatchingIds { condition, is_selective })
    }

    fn joined(
        &mut self,
        parts: Vec<UserFilter>,
        path: &str,
        by: &str,
        depth: usize,
    ) -> Result<Vec<MatchingIds>, Error> {
        let parts = parts.into_iter().enumerate();
        parts.map(|(place, part)| self.read(part, &format!("{path}.{by}.{place}"), depth + 1)).collect()
    }

    /// Returns the value that is given for a column, as [`FilterBuilder::given`], if the viewer may filter by it.
    fn given<T: InputType>(
        &mut self,
        path: &str,
        column: user::Column,
        given: MaybeUndefined<T>,
    ) -> Result<Option<T>, Error> {
        let given = self.reading.given(path, &column.field(), given);
        if given.is_some() {
            self.viewer.may_filter(column)?;
        }
        Ok(given)
    }

    /// The condition of a filter's own fields, without the filters in it.
    fn own(&mut self, mut filter: UserFilter, path: &str) -> Result<MatchingIds, Error> {
        let (attribute, invitation) = (std::mem::take(&mut filter.attribute), std::mem::take(&mut filter.invitation));
        let parts = [
            self.texts(path, &mut filter)?,
            self.ids(path, &mut filter)?,
            self.times(path, &mut filter)?,
            self.flags(path, &filter)?,
            self.choices(path, filter)?,
            self.attribute(path, attribute)?,
            self.invitation(path, invitation)?,
        ];
        let is_selective = parts.iter().any(|part| part.is_selective);
        let condition = parts.into_iter().fold(Condition::all(), |all, part| all.add(part.condition));
        Ok(MatchingIds { condition, is_selective })
    }

    fn times(&mut self, path: &str, filter: &mut UserFilter) -> Result<MatchingIds, Error> {
        let instants = [
            (user::Column::DateJoined, &mut filter.date_joined),
            (user::Column::ModifiedAt, &mut filter.modified_at),
            (user::Column::LastLogin, &mut filter.last_login),
        ];
        let mut condition = Condition::all();
        for (column, given) in instants {
            let Some(given) = self.given(path, column, std::mem::take(given))? else { continue };
            condition = condition.add(self.reading.instant(&at(path, column), given, column));
        }
        let column = user::Column::BirthDate;
        if let Some(given) = self.given(path, column, std::mem::take(&mut filter.birth_date))? {
            condition = condition.add(self.reading.date(&at(path, column), given, column));
        }
        Ok(condition.into())
    }

    fn flags(&mut self, path: &str, filter: &UserFilter) -> Result<MatchingIds, Error> {
        let flags = [
            (user::Column::IsActive, filter.is_active),
            (user::Column::IsStaff, filter.is_staff),
            (user::Column::HasActivated, filter.has_activated),
        ];
        let mut condition = Condition::all();
        for (column, given) in flags {
            let given = self.given(path, column, given)?;
            condition = condition.add_option(self.reading.truth(given, column));
        }
        Ok(condition.into())
    }

    fn choices(&mut self, path: &str, filter: UserFilter) -> Result<MatchingIds, Error> {
        let roles = self.given(path, user::Column::Role, filter.role)?;
        let roles = roles.map(|roles| roles.into_iter().map(Role::place).collect());
        let user_types = self.given(path, user::Column::UserType, filter.user_type)?;
        let genders = self.given(path, user::Column::Gender, filter.gender)?;
        let chosen = [
            self.reading.one_of(&at(path, user::Column::Role), roles, user::Column::RoleKey),
            self.reading.one_of(&at(path, user::Column::UserType), user_types, user::Column::UserType),
            self.reading.one_of(&at(path, user::Column::Gender), genders, user::Column::Gender),
        ];
        Ok(chosen.into_iter().fold(Condition::all(), Condition::add_option).into())
    }

    fn invitation(&mut self, path: &str, states: MaybeUndefined<Vec<InvitationState>>) -> Result<MatchingIds, Error> {
        let states = self.reading.given(path, "invitation", states);
        let path = format!("{path}.invitation");
        let Some(states) = self.reading.values(&path, states, |_, _, state| Some(state)) else {
            return Ok(Condition::all().into());
        };
        self.viewer.may(Action::SeeInvitations)?;
        let any = states.iter().fold(Condition::any(), |any, state| any.add(state.condition()));
        let stands = if any.is_empty() { Condition::all().add(Expr::val(1).eq(0)) } else { any };
        // An email waits for seconds, and few cannot be sent. In the other states, there may be as many invitations as users.
        let is_selective =
            states.iter().all(|state| matches!(state, InvitationState::Queued | InvitationState::Failed));
        let invited = if is_selective { found_by_invitation(stands) } else { has_invitation(stands) };
        Ok(MatchingIds { condition: Condition::all().add(invited), is_selective })
    }

    fn attribute(&mut self, path: &str, filter: MaybeUndefined<AttributeFilter>) -> Result<MatchingIds, Error> {
        let everybody = MatchingIds::from(Condition::all());
        let filter = self.reading.given(path, "attribute", filter);
        let path = format!("{path}.attribute");
        let Some(AttributeFilter { name, value }) = filter else { return Ok(everybody) };
        self.viewer.may(Action::FilterPrivate)?;
        self.reading.count();
        let value = match value {
            MaybeUndefined::Undefined => {
                self.reading.fault(&format!("{path}.value"), "must be a value or null.");
                return Ok(everybody);
            }
            MaybeUndefined::Null => Value::Null,
            MaybeUndefined::Value(Json(value)) => value,
        };
        let Some(definition) = self.definitions.get(&name) else {
            self.reading.fault(&format!("{path}.name"), "there is no such attribute.");
            return Ok(everybody);
        };
        match attribute_values::equals(definition, &value) {
            Ok(equals) => {
                Ok(MatchingIds { condition: Condition::all().add(equals), is_selective: value != Value::Null })
            }
            Err(fault) => {
                self.reading.fault(&format!("{path}.value"), fault.rule());
                Ok(everybody)
            }
        }
    }

    fn texts(&mut self, path: &str, filter: &mut UserFilter) -> Result<MatchingIds, Error> {
        let texts = [
            (user::Column::Username, &mut filter.username),
            (user::Column::Email, &mut filter.email),
            (user::Column::CertifiedEmail, &mut filter.certified_email),
            (user::Column::FirstName, &mut filter.first_name),
            (user::Column::LastName, &mut filter.last_name),
            (user::Column::Nickname, &mut filter.nickname),
            (user::Column::Position, &mut filter.position),
            (user::Column::Phone, &mut filter.phone),
            (user::Column::Mobile, &mut filter.mobile),
            (user::Column::ExternalId, &mut filter.external_id),
            (user::Column::OrcidId, &mut filter.orcid_id),
            (user::Column::Website, &mut filter.website),
        ];
        let (mut condition, mut is_selective) = (Condition::all(), false);
        for (column, given) in texts {
            let Some(filter) = self.given(path, column, std::mem::take(given))? else { continue };
            if matches!(column, user::Column::Username | user::Column::Email | user::Column::ExternalId) {
                is_selective |= filter.eq.is_value() || filter.one_of.is_value();
            }
            if let Some(found) = self.in_search_index(column, filter.contains.value().map(String::as_str)) {
                is_selective = true;
                condition = condition.add(found);
            }
            let text = text_of(column, self.postgres);
            condition = condition.add(self.reading.text(&at(path, column), filter, &text));
        }
        Ok(MatchingIds { condition, is_selective })
    }

    /// Returns a condition that follows from `contains` on a searched column and that the search index can answer. `None` if the
    /// column is not searched, or if no token of the text is selective.
    fn in_search_index(&self, column: user::Column, part: Option<&str>) -> Option<Condition> {
        let is_searched = user::SEARCHED.iter().any(|searched| searched.as_str() == column.as_str());
        let part = text::fold(part.filter(|_| is_searched)?);
        // Addresses are compared with their domain in its DNS form, but searched as they were given.
        let is_address = matches!(column, user::Column::Email | user::Column::CertifiedEmail);
        if is_address && part.contains("xn--") {
            return None;
        }
        let telling = |piece: &str| piece.chars().map(|c| if c.is_numeric() { 2 } else { 1 }).sum::<usize>();
        let piece = search_index::tokens(&part).max_by_key(|piece| telling(piece))?;
        let tells = telling(piece) >= if is_address { LEAST_TELLING_OF_ADDRESS } else { LEAST_TELLING };
        tells.then(|| search_index::of_people_with(piece, self.viewer.license_of_lists()).into_condition())
    }

    fn ids(&mut self, path: &str, filter: &mut UserFilter) -> Result<MatchingIds, Error> {
        let named = [
            ("id", &mut filter.id),
            ("institution", &mut filter.institution),
            ("group", &mut filter.group),
            ("site", &mut filter.site),
        ];
        let [id, institution, group, site] =
            named.map(|(name, given)| self.reading.given(path, name, std::mem::take(given)));
        let names_some = |filter: &&IdFilter| filter.eq.is_value() || filter.one_of.is_value();
        let is_selective = [&id, &institution, &group].into_iter().flatten().any(|filter| names_some(&filter));
        let mut condition = Condition::all();
        for (name, column, filter) in
            [("id", user::Column::Id, id), ("institution", user::Column::InstitutionId, institution)]
        {
            let Some(filter) = filter else { continue };
            self.viewer.may_filter(column)?;
            let path = format!("{path}.{name}");
            condition = condition.add(self.reading.id(&path, filter, |ids| column.is_in(ids), || column.is_null()));
        }
        if let Some(filter) = group {
            condition = condition.add(self.reading.id(&format!("{path}.group"), filter, in_groups, in_no_group));
        }
        if let Some(filter) = site {
            self.viewer.may_filter(user::Column::FullSiteAccess)?;
            let backend = if self.postgres { DatabaseBackend::Postgres } else { DatabaseBackend::Sqlite };
            let accesses = |sites: Vec<Id>| accesses_one_of(backend, &sites).into();
            let accesses_none = || is_not_true(accesses_any());
            condition = condition.add(self.reading.id(&format!("{path}.site"), filter, accesses, accesses_none));
        }
        Ok(MatchingIds { condition, is_selective })
    }
}

/// Returns the path of a field of a filter.
fn at(path: &str, column: user::Column) -> String {
    format!("{path}.{}", column.field())
}

/// Returns the way in which the text of a column is compared.
fn text_of(column: user::Column, postgres: bool) -> Text {
    let login: (Normalizer, Normalizer) = (text::canonical_login, text::canonical);
    let address: (Normalizer, Normalizer) = (text::canonical_email, text::canonical);
    let name: (Normalizer, Normalizer) = (text::fold, text::fold);
    let (key, form) = match column {
        user::Column::Username => (user::Column::UsernameKey, login),
        user::Column::Email => (user::Column::EmailKey, login),
        user::Column::CertifiedEmail => (user::Column::CertifiedEmailKey, address),
        user::Column::FirstName => (user::Column::FirstNameKey, name),
        user::Column::LastName => (user::Column::LastNameKey, name),
        user::Column::Nickname => (user::Column::NicknameKey, name),
        user::Column::Position => (user::Column::PositionKey, name),
        other => return Text::plain(other, postgres),
    };
    Text::keyed(column, key, form, postgres)
}

/// Returns the condition that another condition is false or unknown.
fn is_not_true(condition: Condition) -> SimpleExpr {
    SimpleExpr::from(condition).binary(BinOper::IsNot, SimpleExpr::Constant(true.into()))
}

fn found_by_invitation(stands: Condition) -> SimpleExpr {
    let mut invited = Query::select();
    invited.column(invitation::Column::UserId).from(invitation::Entity).cond_where(stands);
    user::Column::Id.in_subquery(invited)
}

fn has_invitation(stands: Condition) -> SimpleExpr {
    let mut invitation = Query::select();
    let person = Expr::col(user::Column::Id.as_column_ref());
    invitation.expr(Expr::val(1)).from(invitation::Entity).cond_where(stands);
    invitation.and_where(Expr::col(invitation::Column::UserId.as_column_ref()).eq(person));
    Expr::exists(invitation)
}

fn in_groups(groups: Vec<Id>) -> SimpleExpr {
    let mut members = Query::select();
    members.column(membership::Column::UserId).from(membership::Entity);
    members.and_where(membership::Column::GroupId.is_in(groups));
    user::Column::Id.in_subquery(members)
}

fn in_no_group() -> SimpleExpr {
    let mut member = Query::select();
    member.expr(Expr::val(1)).from(membership::Entity);
    let person = Expr::col(user::Column::Id.as_column_ref());
    member.and_where(Expr::col(membership::Column::UserId.as_column_ref()).eq(person));
    Expr::exists(member).not()
}
