use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use async_graphql::MaybeUndefined;

use super::{Tenant, tenants, viewer_accounts};
use crate::entity::membership::GroupRole;
use crate::entity::user::Role;
use crate::entity::{group, institution, user};
use crate::import::record::UserRecord;
use crate::scalar::Id;
use crate::text;
use crate::validation::Validator;

fn all_users(users: u32, seed: u64) -> Vec<UserRecord> {
    tenants(users, seed).into_iter().flat_map(|tenant| tenant.users).collect()
}

fn row_of(license: Id, record: UserRecord) -> user::Model {
    let mut row = user::Model::empty(record.id.unwrap(), license);
    let mut validator = Validator::creating();
    let description = format!("{record:?}");
    row.apply(record.names, record.fields, &mut validator);
    assert!(validator.finish().is_ok(), "{description}");
    row
}

fn rows(users: u32, seed: u64) -> Vec<user::Model> {
    all_users(users, seed).into_iter().map(|record| row_of(Id::new(), record)).collect()
}

fn given<T>(value: &MaybeUndefined<T>) -> Option<&T> {
    value.as_opt_ref().flatten()
}

#[test]
fn every_record_is_valid() {
    for tenant in [1, 77].into_iter().flat_map(|seed| tenants(2_000, seed)) {
        for record in tenant.institutions {
            let mut validator = Validator::creating();
            let description = format!("{record:?}");
            institution::Model::empty(record.id.unwrap(), tenant.id).apply(record.core, record.fields, &mut validator);
            assert!(validator.finish().is_ok(), "{description}");
        }
        for record in tenant.groups {
            let mut validator = Validator::creating();
            let description = format!("{record:?}");
            group::Model::empty(record.id.unwrap(), tenant.id).apply(record.fields, &mut validator);
            assert!(validator.finish().is_ok(), "{description}");
        }
        for record in tenant.users {
            row_of(tenant.id, record);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_directory() {
    let description = |seed| {
        let tell =
            |t: Tenant| format!("{} {:?} {:?} {:?}", t.id.0, t.institutions, t.groups, t.users.collect::<Vec<_>>());
        tenants(500, seed).into_iter().map(tell).collect::<Vec<_>>()
    };
    assert_eq!(description(3), description(3));
    assert_ne!(description(3), description(4));
}

#[test]
fn a_larger_directory_holds_the_smaller_one() {
    fn starts_with(large: Vec<impl Debug>, small: Vec<impl Debug>) {
        let large: Vec<String> = large.into_iter().map(|record| format!("{record:?}")).collect();
        let small: Vec<String> = small.into_iter().map(|record| format!("{record:?}")).collect();
        assert!(large.starts_with(&small));
    }
    for (users, more) in [(10, 500), (500, 1_000), (1_000, 20_000)] {
        for (small, large) in tenants(users, 5).into_iter().zip(tenants(more, 5)) {
            assert_eq!(small.id, large.id);
            starts_with(large.institutions, small.institutions);
            starts_with(large.groups, small.groups);
            starts_with(large.users.collect(), small.users.collect());
        }
    }
}

#[test]
fn ids_names_and_logins_are_unique() {
    let mut ids = HashSet::new();
    for tenant in tenants(20_000, 1) {
        let mut names = HashSet::new();
        assert!(ids.insert(tenant.id));
        for (id, name) in tenant
            .institutions
            .into_iter()
            .map(|i| (i.id, i.core.name))
            .chain(tenant.groups.into_iter().map(|g| (g.id, g.fields.name)))
        {
            assert!(ids.insert(id.unwrap()));
            assert!(names.insert(text::fold(&name.take().unwrap())));
        }
    }
    let (mut logins, mut numbers) = (HashSet::new(), HashSet::new());
    for row in rows(20_000, 1) {
        assert!(ids.insert(row.id), "{row:?}");
        assert!(row.username.is_some() || row.email.is_some(), "{row:?}");
        assert!(row.username.iter().chain(&row.email).all(|login| login.is_ascii()), "{row:?}");
        assert!(row.username_key.into_iter().chain(row.email_key).all(|key| logins.insert(key)), "{:?}", row.id);
        assert!(row.external_id.into_iter().all(|number| numbers.insert(number)), "{:?}", row.id);
    }
}

#[test]
fn every_group_has_an_owner_and_every_reference_exists() {
    for users in [1, 500, 5_000] {
        for tenant in tenants(users, 2) {
            let sites: HashSet<String> =
                tenant.institutions.iter().map(|site| site.id.unwrap().0.to_string()).collect();
            let mut owners: HashMap<String, u32> =
                tenant.groups.iter().map(|group| (group.id.unwrap().0.to_string(), 0)).collect();
            assert!(sites.len() >= 3 && !owners.is_empty());
            for user in tenant.users {
                assert!(user.institution.iter().all(|site| sites.contains(site)));
                let mut seen = HashSet::new();
                for group in user.groups {
                    *owners.get_mut(&group.group).unwrap() += u32::from(group.role == GroupRole::Owner);
                    assert!(seen.insert(group.group));
                }
            }
            assert!(owners.values().all(|owners| *owners > 0));
        }
    }
}

#[test]
fn the_directory_has_the_given_size_and_enough_variety() {
    for (users, sites, groups) in [(500, 12..15, 36..45), (100_000, 45..56, 180..221)] {
        let all = tenants(users, 1);
        assert!(sites.contains(&all.iter().map(|tenant| tenant.institutions.len()).sum::<usize>()));
        assert!(groups.contains(&all.iter().map(|tenant| tenant.groups.len()).sum::<usize>()));
    }
    let kinds: Vec<_> =
        tenants(500, 1).into_iter().flat_map(|tenant| tenant.institutions).map(|site| site.core.kind).collect();
    assert_eq!(kinds.iter().map(|kind| format!("{kind:?}")).collect::<HashSet<_>>().len(), 5);

    let users = all_users(500, 1);
    assert_eq!(users.len(), 500);
    let share = users.iter().map(|user| user.groups.len()).sum::<usize>();
    assert!((1_300..1_700).contains(&share), "{share}");
    let filled = |given: &dyn Fn(&UserRecord) -> bool| users.iter().any(given) && !users.iter().all(given);
    assert!(
        filled(&|p| given(&p.fields.nickname).is_some()) && filled(&|p| given(&p.fields.certified_email).is_some())
    );
    assert!(filled(&|p| given(&p.fields.phone).is_some()) && filled(&|p| given(&p.fields.mobile).is_some()));
    assert!(filled(&|p| given(&p.fields.birth_date).is_some()) && filled(&|p| given(&p.fields.gender).is_some()));
    assert!(filled(&|p| given(&p.fields.user_type).is_some()) && filled(&|p| given(&p.fields.position).is_some()));
    assert!(filled(&|p| given(&p.fields.website).is_some()) && filled(&|p| given(&p.fields.google_scholar).is_some()));
    assert!(
        filled(&|p| given(&p.fields.orcid_id).is_some()) && filled(&|p| given(&p.fields.atlas_preference).is_some())
    );
    assert!(filled(&|p| given(&p.fields.external_id).is_some()) && filled(&|p| given(&p.fields.is_staff).is_some()));
    assert!(
        filled(&|p| given(&p.fields.full_site_access).is_some())
            && filled(&|p| given(&p.fields.admin_rights).is_some())
    );
    assert!(filled(&|p| given(&p.is_active) == Some(&false)) && filled(&|p| p.institution.is_some()));
    assert!(filled(&|p| given(&p.fields.username).is_some()) && filled(&|p| given(&p.fields.email).is_some()));
    let named: HashSet<_> = users.iter().map(|user| format!("{:?}", user.names)).collect();
    assert!((470..500).contains(&named.len()), "some namesakes, but few: {}", named.len());
}

#[test]
fn only_administrators_have_sites_and_only_of_their_license() {
    let mut granted = 0;
    for tenant in tenants(2_000, 1) {
        let institutions: HashSet<String> =
            tenant.institutions.iter().filter_map(|institution| institution.id).map(|id| id.0.to_string()).collect();
        for user in tenant.users {
            let is_admin = given(&user.fields.role) == Some(&Role::Admin);
            assert!(user.sites.is_empty() || (is_admin && user.sites.len() <= 3), "{user:?}");
            assert!(user.sites.iter().all(|site| institutions.contains(site)), "{user:?}");
            granted += user.sites.len();
        }
    }
    assert!(granted >= 10, "{granted}");
}

#[test]
fn the_viewer_accounts_are_in_the_first_license_with_their_rights() {
    for seed in 0..50 {
        let users = tenants(1, seed).remove(0).users;
        let first: HashMap<Id, UserRecord> = users.map(|user| (user.id.unwrap(), user)).collect();
        for account in viewer_accounts(seed) {
            let user = &first[&account.id];
            let owns = user.groups.iter().filter(|group| group.role == GroupRole::Owner).count();
            assert!(user.groups.len() >= 3 && user.institution.is_some() && user.is_active.is_undefined());
            assert!(if account.kind == "group_owner" { owns >= 5 } else { owns == 0 || account.kind != "user" });
            let row = row_of(Id::new(), user.clone());
            assert_eq!(row.is_superuser, account.kind == "superuser");
            assert_eq!(row.role == Role::LicenseAdmin, account.kind == "license_admin");
            assert_eq!(row.role == Role::Admin, account.kind == "admin");
            assert_eq!(row.full_site_access, matches!(account.kind, "license_admin" | "admin"));
            assert!(!row.is_staff);
            if matches!(account.kind, "user" | "group_owner") {
                assert!(!row.is_admin && !row.is_group_admin && !row.is_attributes_admin);
            }
        }
    }
}
