//! Values of custom attributes: reads them from an input, checks them against the definitions, and stores them as one step of a
//! transaction that the caller has begun.
//!
//! Every transaction locks users before definitions.

use std::collections::{BTreeMap, HashSet};

use async_graphql::MaybeUndefined::{self, Null, Undefined, Value as Given};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde_json::Value;

use crate::access::{ATTRIBUTES, of_license};
use crate::audit::Change;
use crate::db::Transaction;
use crate::db::batch::{self, IfExists};
use crate::db::conditions::one_of;
use crate::entity::attribute_definition::{self, MAX_DEFINITIONS};
use crate::entity::attribute_value::{self, AttributeInput};
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::validation::{ValidationError, Validator};

/// The maximum number of values in one input.
const MAX_GIVEN: usize = 100;

/// The attribute definitions of a license, by name.
pub type Definitions = BTreeMap<String, attribute_definition::Model>;

/// The values of a user in their canonical text form, by the ID of the definition.
pub type Values = BTreeMap<Id, String>;

/// A value as given, and the paths of its name and of the value in the input.
#[derive(Clone, Debug)]
pub struct AttributeInputItem {
    pub name: String,
    value: MaybeUndefined<Value>,
    named_at: String,
    valued_at: String,
}

/// Returns the attribute names in an input.
#[must_use]
pub fn names(given: &MaybeUndefined<Vec<AttributeInput>>) -> Vec<String> {
    let list = given.as_opt_ref().flatten().map(Vec::as_slice).unwrap_or_default();
    list.iter().take(MAX_GIVEN).map(|item| item.name.clone()).collect()
}

/// Returns the values in an input. Adds errors of the list itself to `validator`.
pub fn of_list(given: MaybeUndefined<Vec<AttributeInput>>, validator: &mut Validator) -> Vec<AttributeInputItem> {
    let list = match given {
        Undefined => return Vec::new(),
        Null => {
            validator.clears("attributes", true);
            return Vec::new();
        }
        Given(list) => list,
    };
    if list.len() > MAX_GIVEN {
        validator.add_error("attributes", ErrorCode::TooLong, format!("Must contain at most {MAX_GIVEN} attributes."));
        return Vec::new();
    }
    let item = |(place, AttributeInput { name, value }): (usize, AttributeInput)| AttributeInputItem {
        name,
        value: value.map_value(|json| json.0),
        named_at: format!("{ATTRIBUTES}{place}.name"),
        valued_at: format!("{ATTRIBUTES}{place}.value"),
    };
    list.into_iter().enumerate().map(item).collect()
}

/// Returns the values in a record, which has them by name.
#[must_use]
pub fn of_record(given: BTreeMap<String, Value>) -> Vec<AttributeInputItem> {
    let item = |(name, value): (String, Value)| {
        let place = format!("{ATTRIBUTES}{name}");
        let value = if value == Value::Null { Null } else { Given(value) };
        AttributeInputItem { name, value, named_at: place.clone(), valued_at: place }
    };
    given.into_iter().map(item).collect()
}

/// Returns the attribute definitions of a license, by name. At most 100.
pub async fn definitions(db: &impl ConnectionTrait, license_id: Id) -> Result<Definitions, Error> {
    let found = attribute_definition::Entity::find()
        .filter(of_license(attribute_definition::Column::LicenseId, license_id))
        .limit(MAX_DEFINITIONS);
    Ok(by_name(found.all(db).await?))
}

/// Returns the number of required attributes of a license, to be read with another statement.
#[must_use]
pub fn required_count(license_id: Id) -> SimpleExpr {
    let required = attribute_definition::Column::Required.eq(true);
    let required = required.and(of_license(attribute_definition::Column::LicenseId, license_id));
    let mut count = Query::select();
    count.expr(Expr::cust("COUNT(*)")).from(attribute_definition::Entity).and_where(required).take().into()
}

/// Returns the definitions with the given names, locked against changes until the transaction ends.
pub async fn hold(transaction: &Transaction, license_id: Id, names: &[String]) -> Result<Definitions, Error> {
    // Only valid names are sent to the database.
    let names: Vec<&String> = names.iter().filter(|name| attribute_definition::is_name(name)).collect();
    if names.is_empty() {
        return Ok(Definitions::new());
    }
    let of_names = attribute_definition::Column::Name.is_in(names);
    Ok(by_name(held(license_id).filter(of_names).all(transaction).await?))
}

/// Returns all definitions of a license, locked against changes until the transaction ends.
pub async fn hold_all(transaction: &Transaction, license_id: Id) -> Result<Definitions, Error> {
    Ok(by_name(held(license_id).all(transaction).await?))
}

fn held(license_id: Id) -> Select<attribute_definition::Entity> {
    let of_license = of_license(attribute_definition::Column::LicenseId, license_id);
    attribute_definition::Entity::find().filter(of_license).order_by_asc(attribute_definition::Column::Id).lock_shared()
}

fn by_name(definitions: Vec<attribute_definition::Model>) -> Definitions {
    definitions.into_iter().map(|definition| (definition.name.clone(), definition)).collect()
}

/// Returns the values of users, by user ID. Users without a value are absent.
pub async fn values(
    db: &impl ConnectionTrait,
    users: impl IntoIterator<Item = Id>,
) -> Result<BTreeMap<Id, Values>, Error> {
    let of_users = one_of(db.get_database_backend(), attribute_value::Column::UserId, users);
    let mut values: BTreeMap<Id, Values> = BTreeMap::new();
    for row in attribute_value::Entity::find().filter(of_users).all(db).await? {
        values.entry(row.user_id).or_default().insert(row.definition_id, row.value);
    }
    Ok(values)
}

/// Returns the condition that a user has a value of an attribute; null means that the user has none. Strings are compared
/// ignoring case and accents.
///
/// # Errors
/// [`ValidationError`] for a value that is not of the attribute's kind.
pub fn equals(definition: &attribute_definition::Model, value: &Value) -> Result<SimpleExpr, ValidationError> {
    let key = match value {
        Value::Null => None,
        value => definition.kind.canonical(value)?.map(|text| definition.kind.key(&text)),
    };
    let mut having = Query::select();
    having
        .column(attribute_value::Column::UserId)
        .from(attribute_value::Entity)
        .and_where(attribute_value::Column::DefinitionId.eq(definition.id));
    let user = Expr::col((user::Entity, user::Column::Id));
    Ok(match key {
        None => user.not_in_subquery(having),
        Some(key) => user.in_subquery(having.and_where(attribute_value::Column::ValueKey.eq(key)).take()),
    })
}

/// The values of a user before and after an input.
#[derive(Clone, Debug, Default)]
pub struct AttributeChanges {
    was: Values,
    is: Values,
    given: Vec<attribute_definition::Model>,
    /// The attributes whose given values are invalid, so that they are not reported as missing as well.
    wrong: HashSet<Id>,
}

impl AttributeChanges {
    /// Returns the changes of a user with these values, still without a change.
    #[must_use]
    pub fn of(values: Values) -> Self {
        Self { is: values.clone(), was: values, ..Self::default() }
    }

    /// Reads the stored values of a user. Reads nothing if no value is given.
    pub async fn read(db: &impl ConnectionTrait, user_id: Id, given: &[AttributeInputItem]) -> Result<Self, Error> {
        if given.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self::of(values(db, [user_id]).await?.remove(&user_id).unwrap_or_default()))
    }

    /// Returns the definitions of the attributes that were given, with a value or null.
    #[must_use]
    pub fn given(&self) -> &[attribute_definition::Model] {
        &self.given
    }

    /// Returns whether the input leaves every value unchanged.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.was == self.is
    }

    /// Applies the given values. Adds errors to `validator`.
    pub fn apply(&mut self, given: &[AttributeInputItem], definitions: &Definitions, validator: &mut Validator) {
        let mut named = HashSet::new();
        for item in given {
            let Some(definition) = definitions.get(&item.name) else {
                validator.add_error(&item.named_at, ErrorCode::NotFound, "There is no attribute with this name.");
                continue;
            };
            if !named.insert(definition.id) {
                validator.add_error(&item.named_at, ErrorCode::Invalid, "Each attribute can be given only once.");
                continue;
            }
            self.given.push(definition.clone());
            let errors = validator.error_count();
            self.lay_one(item, definition, validator);
            if validator.error_count() > errors {
                self.wrong.insert(definition.id);
            }
        }
    }

    fn lay_one(
        &mut self,
        item: &AttributeInputItem,
        definition: &attribute_definition::Model,
        validator: &mut Validator,
    ) {
        let text = match &item.value {
            Undefined => return validator.add_error(&item.valued_at, ErrorCode::Required, "This field is required."),
            Null => None,
            Given(value) => match validator.check(&item.valued_at, definition.kind.canonical(value)) {
                None => return,
                // A blank value of a new user counts as absent, as in every other field.
                Some(None) if validator.is_creating() => return,
                Some(text) => text,
            },
        };
        match text {
            Some(text) => {
                self.is.insert(definition.id, text);
            }
            None if validator.clears(&item.valued_at, definition.required) => {
                self.is.remove(&definition.id);
            }
            None => {}
        }
    }

    /// Adds an error for each required attribute that a new user lacks.
    pub fn require(&self, definitions: &Definitions, validator: &mut Validator) {
        for definition in definitions.values().filter(|definition| definition.required) {
            if !self.is.contains_key(&definition.id) && !self.wrong.contains(&definition.id) {
                let message = format!("The attribute {} is required.", definition.name);
                validator.add_error("attributes", ErrorCode::Required, message);
            }
        }
    }

    /// Returns the changes for the audit trail: `attributes.name` with the values before and after.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let changed =
            self.given.iter().filter(|definition| self.was.get(&definition.id) != self.is.get(&definition.id));
        let change = |definition: &attribute_definition::Model| {
            let shown = |values: &Values| values.get(&definition.id).map(|text| definition.kind.shown(text));
            Change::of(&format!("{ATTRIBUTES}{}", definition.name), shown(&self.was), shown(&self.is))
        };
        changed.map(change).collect()
    }

    /// Returns the rows of a user that are to be inserted or updated.
    fn stored(&self, user_id: Id) -> impl Iterator<Item = attribute_value::Model> {
        self.given.iter().filter_map(move |definition| {
            let value = self.is.get(&definition.id).filter(|value| self.was.get(&definition.id) != Some(value))?;
            let (definition_id, value, value_key) = (definition.id, value.clone(), definition.kind.key(value));
            Some(attribute_value::Model { user_id, definition_id, value, value_key })
        })
    }

    /// Returns the rows of a user that are to be deleted.
    fn cleared(&self, user_id: Id) -> impl Iterator<Item = attribute_value::Model> {
        self.was.iter().filter(|(id, _)| !self.is.contains_key(*id)).map(move |(definition_id, value)| {
            attribute_value::Model {
                user_id,
                definition_id: *definition_id,
                value: value.clone(),
                value_key: String::new(),
            }
        })
    }
}

/// Stores the changed values of users whose rows are locked.
pub async fn store(transaction: &Transaction, users: &[(Id, AttributeChanges)]) -> Result<(), Error> {
    let cleared: Vec<_> = users.iter().flat_map(|(id, changes)| changes.cleared(*id)).collect();
    batch::delete(transaction, &cleared).await?;
    let stored: Vec<_> = users.iter().flat_map(|(id, changes)| changes.stored(*id)).collect();
    let columns = [attribute_value::Column::Value, attribute_value::Column::ValueKey];
    Ok(batch::insert(transaction, &stored, IfExists::Update(&columns)).await?)
}
