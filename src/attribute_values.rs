//! What a person is by the attributes that the license defines: read from an input, held against the definitions, stored
//! as one step of a transaction of somebody else's.
//!
//! Definitions are locked before people, by everybody.

use std::collections::{BTreeMap, HashSet};

use async_graphql::MaybeUndefined::{self, Null, Undefined, Value as Given};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use serde_json::Value;

use crate::access::{ATTRIBUTES, of_license};
use crate::audit::Change;
use crate::db::conditions::one_of;
use crate::entity::attribute_definition::{self, MOST_DEFINITIONS};
use crate::entity::attribute_value::{self, AttributeInput};
use crate::entity::user;
use crate::error::{Error, ErrorCode};
use crate::scalar::Id;
use crate::validation::{ValidationError, Validator};

/// How many values one input gives at most.
const MOST_GIVEN: usize = 100;
/// How many rows one statement inserts: SQLite takes 32,766 values.
const ROWS_AT_ONCE: usize = 2_000;

/// What a license defines, by name.
pub type Definitions = BTreeMap<String, attribute_definition::Model>;

/// The values of a person, each the one text that stands for it, by their definitions.
pub type Values = BTreeMap<Id, String>;

/// A value as it was given, and where in the input its name and itself stand.
#[derive(Clone, Debug)]
pub struct AttributeInputItem {
    pub name: String,
    value: MaybeUndefined<Value>,
    named_at: String,
    valued_at: String,
}

/// The names that an input has in a list.
#[must_use]
pub fn names(given: &MaybeUndefined<Vec<AttributeInput>>) -> Vec<String> {
    let list = given.as_opt_ref().flatten().map(Vec::as_slice).unwrap_or_default();
    list.iter().take(MOST_GIVEN).map(|item| item.name.clone()).collect()
}

/// The values that an input has in a list; faults of the list itself go to the form.
pub fn of_list(given: MaybeUndefined<Vec<AttributeInput>>, form: &mut Validator) -> Vec<AttributeInputItem> {
    let list = match given {
        Undefined => return Vec::new(),
        Null => {
            form.clears("attributes", true);
            return Vec::new();
        }
        Given(list) => list,
    };
    if list.len() > MOST_GIVEN {
        form.fault("attributes", ErrorCode::TooLong, format!("Must contain at most {MOST_GIVEN} attributes."));
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

/// The values that a record has by name.
#[must_use]
pub fn of_record(given: BTreeMap<String, Value>) -> Vec<AttributeInputItem> {
    let item = |(name, value): (String, Value)| {
        let place = format!("{ATTRIBUTES}{name}");
        let value = if value == Value::Null { Null } else { Given(value) };
        AttributeInputItem { name, value, named_at: place.clone(), valued_at: place }
    };
    given.into_iter().map(item).collect()
}

/// What a license defines, by name; at most 100.
pub async fn definitions(db: &impl ConnectionTrait, license_id: Id) -> Result<Definitions, Error> {
    let found = attribute_definition::Entity::find()
        .filter(of_license(attribute_definition::Column::LicenseId, license_id))
        .limit(MOST_DEFINITIONS);
    Ok(by_name(found.all(db).await?))
}

/// The definitions of some names, which stay as they are until the transaction ends.
pub async fn hold(transaction: &DatabaseTransaction, license_id: Id, names: &[String]) -> Result<Definitions, Error> {
    // Only what can be a name goes to the database.
    let names: Vec<&String> = names.iter().filter(|name| attribute_definition::is_name(name)).collect();
    if names.is_empty() {
        return Ok(Definitions::new());
    }
    let of_names = attribute_definition::Column::Name.is_in(names);
    Ok(by_name(held(license_id).filter(of_names).all(transaction).await?))
}

/// Everything that a license defines, which stays as it is until the transaction ends.
pub async fn hold_all(transaction: &DatabaseTransaction, license_id: Id) -> Result<Definitions, Error> {
    Ok(by_name(held(license_id).all(transaction).await?))
}

fn held(license_id: Id) -> Select<attribute_definition::Entity> {
    let of_license = of_license(attribute_definition::Column::LicenseId, license_id);
    attribute_definition::Entity::find().filter(of_license).order_by_asc(attribute_definition::Column::Id).lock_shared()
}

fn by_name(definitions: Vec<attribute_definition::Model>) -> Definitions {
    definitions.into_iter().map(|definition| (definition.name.clone(), definition)).collect()
}

/// The values of people; nothing of who has none.
pub async fn values(
    db: &impl ConnectionTrait,
    people: impl IntoIterator<Item = Id>,
) -> Result<BTreeMap<Id, Values>, Error> {
    let of_people = one_of(db.get_database_backend(), attribute_value::Column::UserId, people);
    let mut values: BTreeMap<Id, Values> = BTreeMap::new();
    for row in attribute_value::Entity::find().filter(of_people).all(db).await? {
        values.entry(row.user_id).or_default().insert(row.definition_id, row.value);
    }
    Ok(values)
}

/// The condition that a person has a value of an attribute; null means that the person has none. Texts are compared
/// whatever their case and accents.
///
/// # Errors
/// What is wrong with a value that is not of the attribute's kind.
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
    let person = Expr::col((user::Entity, user::Column::Id));
    Ok(match key {
        None => person.not_in_subquery(having),
        Some(key) => person.in_subquery(having.and_where(attribute_value::Column::ValueKey.eq(key)).take()),
    })
}

/// The values of a person as they are and as an input would have them.
#[derive(Clone, Debug, Default)]
pub struct AttributeChanges {
    was: Values,
    is: Values,
    given: Vec<attribute_definition::Model>,
    /// What was said of these is wrong, so that it need not be said that they are missing.
    wrong: HashSet<Id>,
}

impl AttributeChanges {
    /// A person who has these values.
    #[must_use]
    pub fn of(values: Values) -> Self {
        Self { is: values.clone(), was: values, ..Self::default() }
    }

    /// A person as stored; who is given nothing is not read.
    pub async fn read(db: &impl ConnectionTrait, user_id: Id, given: &[AttributeInputItem]) -> Result<Self, Error> {
        if given.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self::of(values(db, [user_id]).await?.remove(&user_id).unwrap_or_default()))
    }

    /// The attributes that were given, value or null.
    #[must_use]
    pub fn given(&self) -> &[attribute_definition::Model] {
        &self.given
    }

    /// Whether the input leaves every value as it is.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.was == self.is
    }

    /// Lays what was given over the values; faults go to the form.
    pub fn apply(&mut self, given: &[AttributeInputItem], definitions: &Definitions, form: &mut Validator) {
        let mut named = HashSet::new();
        for item in given {
            let Some(definition) = definitions.get(&item.name) else {
                form.fault(&item.named_at, ErrorCode::NotFound, "There is no attribute with this name.");
                continue;
            };
            if !named.insert(definition.id) {
                form.fault(&item.named_at, ErrorCode::Invalid, "Each attribute can be given only once.");
                continue;
            }
            self.given.push(definition.clone());
            let faults = form.faults();
            self.lay_one(item, definition, form);
            if form.faults() > faults {
                self.wrong.insert(definition.id);
            }
        }
    }

    fn lay_one(&mut self, item: &AttributeInputItem, definition: &attribute_definition::Model, form: &mut Validator) {
        let text = match &item.value {
            Undefined => return form.fault(&item.valued_at, ErrorCode::Required, "This field is required."),
            Null => None,
            Given(value) => match form.check(&item.valued_at, definition.kind.canonical(value)) {
                None => return,
                // What is blank of somebody new is not there, as in every other field.
                Some(None) if form.is_creating() => return,
                Some(text) => text,
            },
        };
        match text {
            Some(text) => {
                self.is.insert(definition.id, text);
            }
            None if form.clears(&item.valued_at, definition.required) => {
                self.is.remove(&definition.id);
            }
            None => {}
        }
    }

    /// Notes which attributes are missing that everybody new must have.
    pub fn require(&self, definitions: &Definitions, form: &mut Validator) {
        for definition in definitions.values().filter(|definition| definition.required) {
            if !self.is.contains_key(&definition.id) && !self.wrong.contains(&definition.id) {
                let message = format!("The attribute {} is required.", definition.name);
                form.fault("attributes", ErrorCode::Required, message);
            }
        }
    }

    /// What differs, for the audit trail: `attributes.name` as it was and as it is.
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

    /// The values of a person that are to be stored anew.
    fn stored(&self, user_id: Id) -> impl Iterator<Item = attribute_value::Model> {
        self.given.iter().filter_map(move |definition| {
            let value = self.is.get(&definition.id).filter(|value| self.was.get(&definition.id) != Some(value))?;
            let (definition_id, value, value_key) = (definition.id, value.clone(), definition.kind.key(value));
            Some(attribute_value::Model { user_id, definition_id, value, value_key })
        })
    }

    /// The values of a person that are to go.
    fn cleared(&self, user_id: Id) -> Option<Condition> {
        let gone: Vec<Id> = self.was.keys().filter(|id| !self.is.contains_key(id)).copied().collect();
        let of_user = Condition::all().add(attribute_value::Column::UserId.eq(user_id));
        (!gone.is_empty()).then(|| of_user.add(attribute_value::Column::DefinitionId.is_in(gone)))
    }
}

/// Stores what differs of people whose rows are locked.
pub async fn store(transaction: &DatabaseTransaction, people: &[(Id, AttributeChanges)]) -> Result<(), Error> {
    for cleared in people.iter().filter_map(|(id, profile)| profile.cleared(*id)) {
        attribute_value::Entity::delete_many().filter(cleared).exec(transaction).await?;
    }
    let rows: Vec<_> = people.iter().flat_map(|(id, profile)| profile.stored(*id)).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let key = [attribute_value::Column::UserId, attribute_value::Column::DefinitionId];
        let columns = [attribute_value::Column::Value, attribute_value::Column::ValueKey];
        let replace = OnConflict::columns(key).update_columns(columns).to_owned();
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        attribute_value::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(transaction).await?;
    }
    Ok(())
}
