//! The groups and institutions of a license that the rows of a request name.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::sea_query::SelectStatement;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use crate::access::of_license;
use crate::db::Transaction;
use crate::db::conditions::{all_rows, any_of, one_of};
use crate::entity::external_reference::{ID_SEPARATOR, ReferenceTable, StoredReferences};
use crate::entity::{group, group_reference, institution, institution_reference};
use crate::error::Error;
use crate::import::names::NameIndex;
use crate::scalar::Id;
use crate::text;

/// The number of names that one statement looks up.
const NAMES_AT_ONCE: usize = 64;

/// Texts that name objects, each by its ID, its name, its external ID or a reference `source:id`.
pub(super) type Names<'a> = BTreeSet<&'a str>;

/// What names mean as names.
#[derive(Default)]
struct Named {
    /// The objects that alone have one of the names.
    ids: Vec<Id>,
    /// The names that several objects have.
    ambiguous: HashSet<String>,
}

/// Returns the groups of a license that names may mean.
pub(super) async fn groups(transaction: &Transaction, license_id: Id, names: &Names<'_>) -> Result<NameIndex, Error> {
    use group::Column;
    let (mut index, backend) = (NameIndex::default(), transaction.get_database_backend());
    if names.is_empty() {
        return Ok(index);
    }
    let columns = [Column::Id, Column::LicenseId, Column::NameKey, Column::Name];
    let matches = find_named::<group::Entity>(transaction, license_id, columns, names).await?;
    index.ambiguous = matches.ambiguous;
    let conditions = [
        one_of(backend, Column::Id, ids(names).chain(matches.ids)),
        Column::Id.in_subquery(with_reference::<group_reference::Entity>(backend, license_id, names)),
    ];
    for condition in conditions {
        let rows: Vec<(Id, String, Option<StoredReferences>)> = group::Entity::find()
            .select_only()
            .columns([Column::Id, Column::Name, Column::ExternalReferences])
            .filter(condition)
            .filter(of_license(Column::LicenseId, license_id))
            .into_tuple()
            .all(transaction)
            .await?;
        for (id, name, references) in rows {
            if !index.ids.contains(&id) {
                index.add(id, &name, None, references.as_ref());
            }
        }
    }
    Ok(index)
}

/// Returns the institutions of a license that names may mean.
pub(super) async fn institutions(
    transaction: &Transaction,
    license_id: Id,
    names: &Names<'_>,
) -> Result<NameIndex, Error> {
    use institution::Column;
    let (mut index, backend) = (NameIndex::default(), transaction.get_database_backend());
    if names.is_empty() {
        return Ok(index);
    }
    let columns = [Column::Id, Column::LicenseId, Column::NameKey, Column::Name];
    let matches = find_named::<institution::Entity>(transaction, license_id, columns, names).await?;
    index.ambiguous = matches.ambiguous;
    let conditions = [
        one_of(backend, Column::Id, ids(names).chain(matches.ids)),
        any_of::<String>(backend, Column::ExternalId, names.iter().map(|name| (*name).to_owned()).collect()),
        Column::Id.in_subquery(with_reference::<institution_reference::Entity>(backend, license_id, names)),
    ];
    for condition in conditions {
        let rows: Vec<(Id, String, Option<String>, Option<StoredReferences>)> = institution::Entity::find()
            .select_only()
            .columns([Column::Id, Column::Name, Column::ExternalId, Column::ExternalReferences])
            .filter(condition)
            .filter(of_license(Column::LicenseId, license_id))
            .into_tuple()
            .all(transaction)
            .await?;
        for (id, name, external_id, references) in rows {
            if !index.ids.contains(&id) {
                index.add(id, &name, external_id.as_deref(), references.as_ref());
            }
        }
    }
    Ok(index)
}

fn ids(names: &Names<'_>) -> impl Iterator<Item = Id> {
    names.iter().filter_map(|name| Id::parse(name))
}

/// Finds the objects of a license with one of several names. Of those with the same name, however many they are, two are read.
/// The columns are the ID, the license, the key of the name, of which there is an index, and the name.
async fn find_named<E: EntityTrait>(
    transaction: &Transaction,
    license_id: Id,
    [id, license, key, name]: [E::Column; 4],
    names: &Names<'_>,
) -> Result<Named, Error> {
    let mut found: HashMap<String, HashSet<Id>> = HashMap::new();
    let all: Vec<&str> = names.iter().copied().collect();
    for some in all.chunks(NAMES_AT_ONCE) {
        let of_name = |given: &&str| {
            let rows = E::find().select_only().columns([id, name]).filter(of_license(license, license_id));
            rows.filter(key.eq(text::fold(given))).filter(name.eq(*given)).limit(2_u64).into_query()
        };
        let Some(statement) = all_rows(some.iter().map(of_name)) else { continue };
        for row in transaction.query_all(&statement).await? {
            let (id, name): (Id, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            found.entry(name).or_default().insert(id);
        }
    }
    let mut matches = Named::default();
    for (name, ids) in found {
        if ids.len() > 1 {
            matches.ambiguous.insert(name);
        } else {
            matches.ids.extend(ids);
        }
    }
    Ok(matches)
}

/// Returns the statement for the objects of a license with one of the references among names, and a few others: every source is
/// combined with every ID.
fn with_reference<R: ReferenceTable>(backend: DatabaseBackend, license_id: Id, names: &Names<'_>) -> SelectStatement {
    let references = names.iter().filter_map(|name| name.split_once(ID_SEPARATOR));
    let references = references.map(|(source, id)| (source.to_owned(), id.to_owned()));
    let (sources, ids): (BTreeSet<String>, BTreeSet<String>) = references.unzip();
    R::find()
        .select_only()
        .column(R::OBJECT_ID)
        .filter(R::LICENSE_ID.eq(license_id))
        .filter(any_of::<String>(backend, R::SOURCE, sources.into_iter().collect()))
        .filter(any_of::<String>(backend, R::EXTERNAL_ID, ids.into_iter().collect()))
        .into_query()
}
