//! What each viewer must see of the changes: computed from the complete list by the rules of docs/api-guide.md.

use std::collections::{HashMap, HashSet};

use roster::db::Db;
use roster::entity::{institution, user};
use roster::scalar::Id;
use sea_orm::{EntityTrait, QuerySelect};

use super::change::{Change, Shape, fingerprint};
use super::license::{Rights, Viewer};

/// The fields that the writers change and that only the user and administrators see.
const PRIVATE: [&str; 1] = ["mobile"];

/// All changes, and what must be known of their objects.
pub(super) struct Expected {
    all: Vec<Change>,
    license_of: HashMap<Id, Id>,
    /// The indexes of the changes in each license.
    in_license: HashMap<Id, Vec<usize>>,
    /// The users who were deactivated after they had been active. None is activated again.
    deactivated: HashSet<Id>,
    never_active: HashSet<Id>,
}

/// What a viewer may see of a change.
struct Sight {
    /// One of these fingerprints, once. None if the change is withheld.
    fingerprints: Vec<u64>,
    is_required: bool,
}

impl Sight {
    fn one_of(fingerprints: Vec<u64>) -> Self {
        Self { fingerprints, is_required: true }
    }

    fn at_most(fingerprints: Vec<u64>) -> Self {
        Self { fingerprints, is_required: false }
    }
}

impl Expected {
    /// Reads from the tables to which license each object belongs, and which users are inactive.
    pub(super) async fn new(db: &Db, all: Vec<Change>) -> Self {
        let columns = [user::Column::Id, user::Column::LicenseId, user::Column::IsActive];
        let users = user::Entity::find().select_only().columns(columns).into_tuple::<(Id, Id, bool)>();
        let columns = [institution::Column::Id, institution::Column::LicenseId];
        let institutions = institution::Entity::find().select_only().columns(columns).into_tuple::<(Id, Id)>();
        let users = users.all(db.read()).await.unwrap();
        let institutions = institutions.all(db.read()).await.unwrap();

        let deactivated: HashSet<Id> =
            all.iter().filter(|change| change.shape.kind == "DEACTIVATED").map(|change| change.id).collect();
        let inactive = users.iter().filter(|(_, _, is_active)| !is_active).map(|(id, _, _)| *id);
        let never_active = inactive.filter(|id| !deactivated.contains(id)).collect();
        let license_of: HashMap<Id, Id> =
            users.into_iter().map(|(id, license, _)| (id, license)).chain(institutions).collect();
        let mut in_license: HashMap<Id, Vec<usize>> = HashMap::new();
        for (index, change) in all.iter().enumerate() {
            in_license.entry(license_of[&change.id]).or_default().push(index);
        }
        Self { all, license_of, in_license, deactivated, never_active }
    }

    /// Checks that a viewer has seen what they may, each change once and in order, and nothing else. Returns the number
    /// of the changes that were withheld.
    pub(super) fn check(&self, viewer: &Viewer, seen: &[u64]) -> usize {
        let mut rest = seen.iter().peekable();
        let mut withheld = 0;
        for (index, change) in self.changes_for(viewer) {
            let Sight { fingerprints, is_required } = self.sight(viewer, change);
            let is_seen = rest.next_if(|seen| fingerprints.contains(seen)).is_some();
            assert!(is_seen || !is_required, "change {index} is not seen next: {change:?}\n{viewer:?}");
            withheld += usize::from(!is_seen);
        }
        assert_eq!(rest.count(), 0, "changes follow the last one\n{viewer:?}");
        withheld + self.all.len() - self.changes_for(viewer).count()
    }

    /// The changes in what the viewer sees: everything, or a license.
    fn changes_for<'a>(&'a self, viewer: &Viewer) -> Box<dyn Iterator<Item = (usize, &'a Change)> + 'a> {
        if viewer.rights == Rights::Superuser {
            return Box::new(self.all.iter().enumerate());
        }
        let indexes = &self.in_license[&self.license_of[&viewer.user.id]];
        Box::new(indexes.iter().map(|index| (*index, &self.all[*index])))
    }

    fn sight(&self, viewer: &Viewer, change: &Change) -> Sight {
        let Change { id, shape } = change;
        if !viewer.types.contains(&shape.node_type.as_str()) {
            return Sight::at_most(Vec::new());
        }
        match viewer.rights {
            Rights::Superuser | Rights::LicenseAdmin => Sight::one_of(vec![fingerprint(*id, shape)]),
            Rights::User => self.sight_of_user(viewer.user.id, *id, shape),
        }
    }

    /// What a user of the license sees. An event is judged when it is read, so of a user who was deactivated afterwards
    /// it may be either what it was before or what it is since then.
    fn sight_of_user(&self, viewer: Id, id: Id, shape: &Shape) -> Sight {
        let is_visible = |field: &&String| id == viewer || !PRIVATE.contains(&field.as_str());
        let fields: Vec<String> = shape.fields.iter().filter(is_visible).cloned().collect();
        let is_hidden = fields.is_empty() || self.never_active.contains(&id);
        let before = || fingerprint(id, &Shape { fields, ..shape.clone() });
        let removed = Shape { kind: "REMOVED".to_owned(), fields: Vec::new(), ..shape.clone() };
        let since = fingerprint(id, &removed);
        match (shape.kind.as_str(), self.deactivated.contains(&id)) {
            _ if is_hidden => Sight::at_most(Vec::new()),
            ("CREATED" | "UPDATED", false) => Sight::one_of(vec![before()]),
            ("CREATED", true) => Sight::one_of(vec![before(), since]),
            ("UPDATED", true) => Sight::at_most(vec![before()]),
            ("DEACTIVATED", true) => Sight::one_of(vec![since]),
            (kind, _) => panic!("the writers make no change of the kind {kind}"),
        }
    }
}
