//! Institutions, also called sites: the places where users work.

use async_graphql::{Enum, InputObject, MaybeUndefined, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::Deserialize;

use super::external_reference::{self, ExternalReferenceInput, StoredReferences};
use crate::scalar::{Id, Instant, now};
use crate::text;
use crate::validation::{Validator, rule};

/// The kind of institution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstitutionKind {
    /// A hospital.
    Hospital,
    /// A residential care home.
    CareHome,
    /// A hospice.
    Hospice,
    /// A private practice or household.
    Private,
    /// A research institute.
    Research,
}

/// An institution where users work, also called a site.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "institutions")]
#[graphql(name = "Institution", complex)]
pub struct Model {
    /// The institution's ID, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// The institution's name.
    pub name: String,
    #[graphql(skip)]
    pub name_key: String,
    /// The kind of institution.
    pub kind: InstitutionKind,
    /// The country of the institution, as an ISO 3166-1 alpha-2 code such as `AU`.
    pub country: String,
    /// The state or province of the institution.
    pub state: Option<String>,
    /// The city or suburb of the institution.
    pub city: Option<String>,
    /// The institution's street address.
    pub address: Option<String>,
    /// The institution's postal code.
    pub postcode: Option<String>,
    /// The institution's phone number.
    pub phone: Option<String>,
    /// The institution's email address.
    pub email: Option<String>,
    /// The number of beds in the institution.
    pub num_beds: Option<i32>,
    /// The institution's ID in another system. Unique within the license.
    pub external_id: Option<String>,
    #[graphql(skip)]
    pub external_references: Option<StoredReferences>,
    /// The date and time when the institution was created.
    #[graphql(skip, derived(name = "created_at", into = "Instant", owned))]
    pub created_at: DateTime<Utc>,
    /// The date and time when the institution last changed.
    #[graphql(skip, derived(name = "modified_at", into = "Instant", owned))]
    pub modified_at: DateTime<Utc>,
    /// The version of the institution, which increases with every change.
    pub version: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The optional fields of an institution in an input.
#[derive(Clone, Debug, Default, InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InstitutionFields {
    /// The state or province of the institution. At most 100 characters.
    pub state: MaybeUndefined<String>,
    /// The city or suburb of the institution. At most 100 characters.
    pub city: MaybeUndefined<String>,
    /// The institution's street address. At most 200 characters.
    pub address: MaybeUndefined<String>,
    /// The institution's postal code. At most 20 characters.
    pub postcode: MaybeUndefined<String>,
    /// The institution's phone number. At most 20 characters, at least one of which is a digit.
    pub phone: MaybeUndefined<String>,
    /// The institution's email address. At most 250 characters.
    pub email: MaybeUndefined<String>,
    /// The number of beds in the institution, from 0 to 100,000.
    pub num_beds: MaybeUndefined<i32>,
    /// The institution's ID in another system. At most 250 characters. Unique within the license (`TAKEN` otherwise).
    pub external_id: MaybeUndefined<String>,
    /// The institution's IDs in other systems, each with its source. At most 20, one for each source. Each is unique
    /// among the institutions of the license (`TAKEN` otherwise). For an existing institution, sources that are not
    /// listed keep their IDs, and an empty list removes all.
    pub external_references: MaybeUndefined<Vec<ExternalReferenceInput>>,
}

/// The required fields of an institution in an input.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InstitutionCore {
    pub name: MaybeUndefined<String>,
    pub kind: MaybeUndefined<InstitutionKind>,
    pub country: MaybeUndefined<String>,
}

impl Model {
    /// Returns an institution of a license without a name and with the default of every other field.
    #[must_use]
    pub fn empty(id: Id, license_id: Id) -> Self {
        let now = now();
        Self {
            id,
            license_id,
            name: String::new(),
            name_key: String::new(),
            kind: InstitutionKind::Hospital,
            country: String::new(),
            state: None,
            city: None,
            address: None,
            postcode: None,
            phone: None,
            email: None,
            num_beds: None,
            external_id: None,
            external_references: None,
            created_at: now,
            modified_at: now,
            version: 1,
        }
    }

    /// Applies the given values to the row. Adds errors to `validator`.
    pub fn apply(&mut self, core: InstitutionCore, fields: InstitutionFields, validator: &mut Validator) {
        let InstitutionCore { name, kind, country } = core;
        let InstitutionFields { state, city, address, postcode, phone, email, num_beds, .. } = fields;
        validator.required("name", name, &mut self.name, rule::text(200));
        validator.needed("kind", kind, &mut self.kind);
        validator.required("country", country, &mut self.country, rule::country);
        validator.text("state", state, &mut self.state, rule::text(100));
        validator.text("city", city, &mut self.city, rule::text(100));
        validator.text("address", address, &mut self.address, rule::text(200));
        validator.text("postcode", postcode, &mut self.postcode, rule::text(20));
        validator.text("phone", phone, &mut self.phone, rule::phone);
        validator.text("email", email, &mut self.email, rule::email(250));
        validator.optional("numBeds", num_beds, &mut self.num_beds, rule::between(0, 100_000));
        validator.text("externalId", fields.external_id, &mut self.external_id, rule::text(250));
        external_reference::apply(fields.external_references, &mut self.external_references, validator);
        self.name_key = text::fold(&self.name);
    }
}
